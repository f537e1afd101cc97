"""A stored document as it can be read again: its passages in the order of the text.

In: a snapshot, a document's id. Out: the document, and a stretch of its passages.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from pipeline.errors import UsageError
from pipeline.store.segment import StoredDocument
from pipeline.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPassage:
    """`number` counts from 0 in its document. Its first `overlap` characters end the passage before too."""

    number: int
    chunk_id: str
    text: str
    start_line: int
    end_line: int
    page: int | None
    heading_path: tuple[str, ...]
    overlap: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Neighbouring passages of a document, which has `total` of them; `at` is the number of the one asked for."""

    document: StoredDocument
    total: int
    passages: tuple[StoredPassage, ...]
    at: int | None = None


def read_stretch(
    snapshot: Snapshot, document_id: str, *, around: str | None = None, first: int = 0, count: int = 40
) -> Stretch:
    """`count` passages from number `first`, or with the one whose chunk id is `around` in their middle.

    Raises UsageError where the collection has no such document, or the document no such passage.
    """
    document = find_document(snapshot, document_id)
    segment = snapshot.segment_of(document)
    rows = range(document.first_row, document.first_row + document.rows)
    at = None
    if around is not None:
        at = next((number for number, chunk_id in enumerate(segment.chunk_ids(rows)) if chunk_id == around), None)
        if at is None:
            raise UsageError(
                f"the document has no passage {around!r}", hint="it may have changed since: search once more"
            )
        first = max(0, at - count // 2)
    columns = segment.passages(rows[first : first + count])
    ends = [0, *(each["end"] for each in columns)]
    passages = tuple(
        StoredPassage(
            number=first + number,
            chunk_id=each["chunk_id"],
            text=each["text"],
            start_line=each["start_line"],
            end_line=each["end_line"],
            page=each["page"],
            heading_path=tuple(each["heading_path"]),
            overlap=min(max(0, before - each["start"]), len(each["text"])),
        )
        for number, (each, (before, _)) in enumerate(zip(columns, pairwise(ends), strict=True))
    )
    return Stretch(document=document, total=document.rows, passages=passages, at=at)


def find_document(snapshot: Snapshot, document_id: str) -> StoredDocument:
    """The live document with this id. Raises UsageError where there is none."""
    import pyarrow.compute as pc  # noqa: PLC0415 - heavy

    for segment in snapshot.segments:
        dead = set(segment.deleted.documents.tolist())
        position = 0
        for batch in segment.document_batches("document_id"):
            at = pc.index(  # pyright: ignore[reportAttributeAccessIssue] - pyarrow makes it when it is imported
                batch.column("document_id"), document_id
            ).as_py()
            if at >= 0 and position + at not in dead:
                return segment.stored_document(position + at)
            position += batch.num_rows
    raise UsageError(f"the collection has no document {document_id!r}", hint="it may be gone: search once more")
