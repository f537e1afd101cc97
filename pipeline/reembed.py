"""Moves a collection to another embedding model: beside the old one, and then at once.

In: a collection's writer, an `Embedder` of the new model. Out: the same documents and passages with the new model's
vectors. Nothing is read again but the collection itself. Until the last step the collection is searched as it was; a
move that is cut short goes on where it was, and embeds nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.chunk import embedded_text
from pipeline.embed import Assembly, Awaited, Embedder, FailedChunk, Outcome
from pipeline.errors import CollectionNotFound, InputTooLong, PipelineError, UsageError
from pipeline.interrupts import interrupts_deferred
from pipeline.optimize import optimize
from pipeline.store import (
    CollectionWriter,
    DocumentRow,
    KnownDocuments,
    Layout,
    SegmentBuilder,
    Snapshot,
    StoredDocument,
    read_manifest,
    remove_collection,
)
from pipeline.types import Chunk

COMMIT_ROWS = 4096
COMMIT_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class ReEmbedReport:
    """`reused` counts chunks that an earlier run, cut short, had embedded, or another chunk of the same text."""

    collection: str
    old_model: str
    model: str
    dimension: int
    embedded: int = 0
    reused: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedMove:
    """A move that was cut short: the model it goes to, and how many of the collection's `of` chunks have a vector."""

    model: str
    dimension: int
    chunks: int
    of: int


def unfinished_move(snapshot: Snapshot) -> UnfinishedMove | None:
    """What an earlier `re_embed` of the collection has left to go on from, if anything. Raises CorruptCollection."""
    staging = snapshot.layout.staging
    if not staging.generations():
        return None
    manifest, of = read_manifest(staging), snapshot.manifest.live_rows
    # Rows of documents that are not whole count too: their vectors are found again.
    chunks = min(of, sum(segment.rows for segment in manifest.segments))
    return UnfinishedMove(model=manifest.model.name, dimension=manifest.model.dimension, chunks=chunks, of=of)


def drop_move(layout: Layout) -> None:
    """Forgets an unfinished move, damaged or not. Raises UsageError where there is none, CollectionLocked."""
    if not layout.staging.root.is_dir():
        raise UsageError(f"collection {layout.name!r} is not being moved", hint="there is nothing to drop")
    with CollectionWriter(layout):
        remove_collection(layout.staging)


@dataclass(slots=True, kw_only=True)
class _Work(Awaited):
    row: DocumentRow


def re_embed(
    layout: Layout, embedder: Embedder, *, on_chunks: Callable[[int, int], None] | None = None
) -> ReEmbedReport:
    """Gives every passage of a collection a vector of the embedder's model, and switches to them in one step.

    `on_chunks(done, total)` is told how far it has come.

    Raises:
        UsageError: the collection has that model already.
        PipelineError: a passage cannot be embedded, or is too long for the model; the collection is as it was.
        StorageError: the collection is locked, damaged, or cannot be written.
    """
    started = time.perf_counter()
    with CollectionWriter(layout) as writer:
        if writer.snapshot is None:
            raise CollectionNotFound(
                f"there is no collection {layout.name!r}", hint="see what there is: pipeline collections list"
            )
        manifest = writer.snapshot.manifest
        identity = embedder.identity
        if identity == manifest.model:
            raise UsageError(
                f"collection {layout.name!r} has the vectors of {identity.name!r} already",
                hint="name another model with --model",
            )
        report = ReEmbedReport(
            collection=layout.name,
            old_model=manifest.model.name,
            model=identity.name,
            dimension=identity.dimension,
        )
        with CollectionWriter(layout.staging) as staged:
            if staged.snapshot is not None and staged.snapshot.manifest.model != identity:
                staged.clear()
            if staged.snapshot is None:
                staged.create(identity, manifest.chunker)
            done = _Move(writer.snapshot, staged, embedder, report, on_chunks).execute()
            writer.adopt(done)
            staged.clear()
        optimize(writer, thorough=False)
    report.seconds = round(time.perf_counter() - started, 3)
    return report


class _Move:
    def __init__(
        self,
        source: Snapshot,
        staged: CollectionWriter,
        embedder: Embedder,
        report: ReEmbedReport,
        on_chunks: Callable[[int, int], None] | None,
    ) -> None:
        self.source = source
        self.staged = staged
        self.embedder = embedder
        self.report = report
        self.on_chunks = on_chunks
        self.known = KnownDocuments(staged.snapshot)
        self.assembly: Assembly[_Work] = Assembly()
        self.builder = SegmentBuilder(embedder.identity.dimension)
        self.retired: list[StoredDocument] = []
        self.last_commit = time.monotonic()

    def execute(self) -> Snapshot:
        """The staged collection, once it holds all that the source holds."""
        unclaimed: list[list[Outcome]] = []
        try:
            with closing(self.embedder.embed_chunks(self._missing_chunks(), unclaimed=unclaimed)) as outcomes:
                for outcome in outcomes:
                    self._accept(outcome)
                    self._store_finished()
            self._store_finished()
            # What an earlier run had staged and the collection no longer has.
            self.retired.extend(known.load() for _, known in self.known.unseen())
        finally:
            with interrupts_deferred():
                self._store_unfinished(outcome for batch in unclaimed for outcome in batch)
                self._commit()
        assert self.staged.snapshot is not None
        return self.staged.snapshot

    def _missing_chunks(self) -> Iterator[Chunk]:
        for document in self.source.documents():
            chunks = self._chunks(document)
            if self._is_staged(document, chunks):
                self._count(reused=len(chunks))
                continue
            hashes = [chunk.content_hash for chunk in chunks]
            vectors = [self.builder.vector_of(digest) for digest in hashes]
            assert self.staged.snapshot is not None
            stored = self.staged.snapshot.vectors_of(hashes)
            vectors = [stored.get(digest, vector) for digest, vector in zip(hashes, vectors, strict=True)]
            missing = sum(vector is None for vector in vectors)
            self._count(reused=len(chunks) - missing)
            yield from self.assembly.add(_Work(row=document.row, chunks=chunks, vectors=vectors, missing=missing))

    def _chunks(self, document: StoredDocument) -> list[Chunk]:
        rows = range(document.first_row, document.first_row + document.rows)
        return [_chunk(document.row, passage) for passage in self.source.segment_of(document).passages(rows)]

    def _is_staged(self, document: StoredDocument, chunks: list[Chunk]) -> bool:
        """Whether an earlier run had come past this document; what it staged of an older state of it goes."""
        known = self.known.see(document.row.path)
        if known is None:
            return False
        staged = known.load()
        rows = range(staged.first_row, staged.first_row + staged.rows)
        chunk_ids = [passage["chunk_id"] for passage in known.segment.passages(rows)]
        if staged.row == document.row and chunk_ids == [chunk.chunk_id for chunk in chunks]:
            return True
        self.retired.append(staged)
        return False

    def _accept(self, outcome: Outcome) -> None:
        if isinstance(outcome, FailedChunk):
            raise _refusal(self.assembly.failed().row, outcome, self.report.model)
        with interrupts_deferred():
            self.assembly.accept(outcome)
            self._count(embedded=len(outcome.chunks))

    def _count(self, *, embedded: int = 0, reused: int = 0) -> None:
        self.report.embedded += embedded
        self.report.reused += reused
        if self.on_chunks is not None:
            self.on_chunks(self.report.embedded + self.report.reused, self.source.manifest.live_rows)

    def _store_finished(self) -> None:
        while self.assembly.has_finished:
            with interrupts_deferred():
                work = self.assembly.take()
                self.builder.add(work.row, work.chunks, [vector for vector in work.vectors if vector is not None])
        if self.builder.rows >= COMMIT_ROWS or time.monotonic() - self.last_commit > COMMIT_SECONDS:
            self._commit()

    def _store_unfinished(self, unclaimed: Iterable[Outcome]) -> None:
        """At an early end: the vectors that there are of documents that are not whole, to be found by their hashes."""
        self.assembly.accept_unclaimed(unclaimed)
        while self.assembly:
            work = self.assembly.take()
            pairs = zip(work.chunks, work.vectors, strict=True)
            done = [(chunk, vector) for chunk, vector in pairs if vector is not None]
            self.builder.add(
                work.row, [chunk for chunk, _ in done], [vector for _, vector in done], whole=work.missing == 0
            )

    def _commit(self) -> None:
        self.last_commit = time.monotonic()
        if not (self.builder.documents or self.retired):
            return
        with interrupts_deferred():
            builder, retired = self.builder, self.retired
            self.builder, self.retired = SegmentBuilder(builder.dimension), []
            self.staged.commit(builder, retired=retired)


def _chunk(row: DocumentRow, passage: dict[str, Any]) -> Chunk:
    """The chunk that a stored passage was."""
    heading_path = tuple(passage["heading_path"])
    return Chunk(
        chunk_id=passage["chunk_id"],
        document_id=passage["document_id"],
        start=passage["start"],
        end=passage["end"],
        text=passage["text"],
        heading_path=heading_path,
        start_line=passage["start_line"],
        end_line=passage["end_line"],
        embedded_text=embedded_text(row.title, heading_path, passage["text"], passage["content_hash"]),
        content_hash=passage["content_hash"],
        page=passage["page"],
        end_page=passage.get("end_page"),
    )


def _refusal(row: DocumentRow, failed: FailedChunk, model: str) -> PipelineError:
    place = f"{row.path}:{failed.chunk.start_line}"
    if isinstance(failed.error, InputTooLong):
        hint = f"its context is smaller: index the documents into a new collection (-c NAME --model {model})"
    else:
        hint = failed.error.hint or "look at the server's log, then run the same command again to go on"
    return PipelineError(f"{place}: {failed.error.message}; the collection stays with the model that it has", hint=hint)
