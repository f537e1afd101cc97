"""A document on its way into a collection: what is to be embedded and stored of a file that was read.

In: a file that was cut, what is stored of it, the vectors that there are. Out: a `Work`, and for chunks that the server
finds too long the pieces that are embedded in their place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.chunk import split_chunk
from pipeline.embed import Awaited, Embedder, FailedChunk
from pipeline.errors import InputTooLong, ReadError
from pipeline.ingest.cut import Cut
from pipeline.ingest.cutting import Task
from pipeline.ingest.report import Failure
from pipeline.read import read_document
from pipeline.store import DocumentRow, StoredDocument
from pipeline.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SETTLED_NS = 2_000_000_000
"""A file changed less than this long before it was read may change again within its time stamp's resolution."""


@dataclass(slots=True, kw_only=True)
class Work(Awaited):
    """What is stored of a document, and what it replaces."""

    row: DocumentRow
    replaces: StoredDocument | None
    pieces: list[tuple[Chunk, NDArray[np.float32]]] = field(default_factory=list[Any])
    failures: list[Failure] = field(default_factory=list[Failure])

    def embedded(self) -> list[tuple[Chunk, NDArray[np.float32]]]:
        """The chunks that have vectors, in the order of the text."""
        pairs = [*zip(self.chunks, self.vectors, strict=True), *self.pieces]
        found = [(chunk, vector) for chunk, vector in pairs if vector is not None]
        return sorted(found, key=lambda pair: pair[0].start)


def settled_time(task: Task) -> int:
    """The file's time, or 0 where it is not to be trusted."""
    return task.found.mtime_ns if task.decided_at - task.found.mtime_ns > SETTLED_NS else 0


def work_of(task: Task, cut: Cut, vectors: Sequence[NDArray[np.float32] | None]) -> Work:
    """`vectors` are those that the chunks have already, None for each that is to be embedded."""
    document = cut.document
    row = DocumentRow(
        document_id=document.document_id,
        path=document.path,
        title=document.title or task.found.path.name,
        format=document.format,
        size=task.found.size,
        mtime_ns=settled_time(task),
        content_hash=document.content_hash,
        metadata=document.metadata,
    )
    missing = sum(vector is None for vector in vectors)
    return Work(row=row, replaces=task.stored, chunks=list(cut.chunks), vectors=list(vectors), missing=missing)


def embed_in_halves(
    embedder: Embedder, row: DocumentRow, failed: FailedChunk
) -> tuple[list[tuple[Chunk, NDArray[np.float32]]], list[Failure]]:
    """A chunk that the server finds too long, halved until it fits; any other failure as it is reported."""
    pieces: list[tuple[Chunk, NDArray[np.float32]]] = []
    failures: list[Failure] = []
    queue = deque([failed])
    while queue:
        failed = queue.popleft()
        halves = _halves(row, failed.chunk) if isinstance(failed.error, InputTooLong) else []
        if not halves:
            failures.append(Failure(path=f"{row.path}:{failed.chunk.start_line}", error=failed.error.message))
            continue
        for outcome in embedder.embed_together(halves):
            if isinstance(outcome, FailedChunk):
                queue.append(outcome)
            else:
                pieces.extend(zip(outcome.chunks, outcome.matrix, strict=True))
    return pieces, failures


def _halves(row: DocumentRow, chunk: Chunk) -> list[Chunk]:
    """A chunk in two, from its file as it was read; none where it cannot be cut, or the file has changed since."""
    try:
        document = read_document(Path(row.path))
    except ReadError:
        return []
    return split_chunk(document, chunk) if document.content_hash == row.content_hash else []
