"""Runs stages 1 to 4 as one lazy chain: brings a collection up to date with paths and reports what it did.

In: a collection's layout, an `Embedder`, paths. Out: an `IndexReport`, and the collection committed step by step, so
that a run that is cut short loses only what has not been committed. Unchanged files cost a stat, unchanged chunks
nothing at the model.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.chunk import (
    ChunkerChoice,
    ChunkSettings,
    TokenCounter,
    parse_chunker,
    split_chunk,
    stored_settings,
    token_counter,
)
from pipeline.embed import SPECIAL_TOKENS, Assembly, Awaited, Embedder, FailedChunk, Outcome
from pipeline.errors import InputTooLong, PipelineError, ReadError
from pipeline.ingest.cut import Cut, Unread
from pipeline.ingest.cutting import Cutting, Task
from pipeline.ingest.pending import Pending
from pipeline.ingest.report import Failure, IndexProgress, IndexReport, Notice
from pipeline.interrupts import interrupts_deferred
from pipeline.optimize import optimize
from pipeline.read import Found, Skipped, discover, read_document
from pipeline.store import (
    CollectionWriter,
    DocumentRow,
    KnownDocuments,
    Layout,
    Snapshot,
    StoredDocument,
    spans_below,
)
from pipeline.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SETTLED_NS = 2_000_000_000
"""A file changed less than this long before it was read may change again within its time stamp's resolution."""


@dataclass(slots=True, kw_only=True)
class _Work(Awaited):
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


def index_paths(
    layout: Layout,
    embedder: Embedder,
    paths: Sequence[Path],
    *,
    chunker: Sequence[str] = (),
    chunk_tokens: int | None = None,
    language: str | None = None,
    allow_empty: bool = False,
    strict: bool = False,
    progress: IndexProgress | None = None,
    report: IndexReport | None = None,
) -> IndexReport:
    """Brings the collection up to date with `paths`: new and changed documents in, vanished ones out.

    Documents of the collection that lie outside `paths` are left alone; with `allow_empty` a path may be gone, and its
    documents go with it. `strict` counts empty files and links that lead nowhere as failures. `chunker` and
    `language` are as `pipeline.chunk.parse_chunker` takes them.
    `report` may be given to see how far a run came that ends with an error.

    Raises:
        UsageError: a path does not exist (unless `allow_empty`), or the chunk size is not possible.
        PipelineError: the paths hold no document at all (unless `allow_empty`), or the server fails for good.
        ModelMismatch: the collection was built with another model, or other chunk settings.
        StorageError: the collection is locked, damaged, or cannot be written.
    """
    started = time.perf_counter()
    report = report or IndexReport(collection=layout.name)
    progress = progress or IndexProgress()
    present = [path for path in paths if not allow_empty or os.path.lexists(path)]
    found, first_failure = _count(present)
    progress.walked(found)
    if not found and not allow_empty:
        raise PipelineError(
            f"there is no document to index in {', '.join(str(path) for path in paths)}{first_failure}",
            hint="check the path and the formats listed by `pipeline index --help`; "
            "with --allow-empty, passages of files that are gone are removed",
        )
    with CollectionWriter(layout) as writer:
        choice = parse_chunker(*chunker, max_tokens=chunk_tokens, language=language)
        run = _Run(writer, embedder, paths, present, chunker=choice, strict=strict, progress=progress, report=report)
        try:
            run.execute()
            if writer.snapshot is not None:
                optimize(writer, thorough=False)
        finally:
            report.seconds = round(time.perf_counter() - started, 3)
    return report


def _count(paths: Sequence[Path]) -> tuple[int, str]:
    """How many documents there are, and what is wrong with the first path that cannot be read."""
    found, failure = 0, ""
    for item in discover(paths):
        if isinstance(item, Found):
            found += 1
        elif (item.is_failure or item.is_suspect) and not failure:
            failure = f": {item.path}: {item.reason}"
    return found, failure


class _Run:
    def __init__(
        self,
        writer: CollectionWriter,
        embedder: Embedder,
        paths: Sequence[Path],
        present: Sequence[Path],
        *,
        chunker: ChunkerChoice,
        strict: bool,
        progress: IndexProgress,
        report: IndexReport,
    ) -> None:
        self.writer = writer
        self.embedder = embedder
        self.present = present
        self.chunker = chunker
        self.strict = strict
        self.progress = progress
        self.report = report
        roots = [str(path.absolute().resolve()) for path in paths]
        self.known = KnownDocuments(writer.snapshot, spans_below(roots))
        self.unreadable: list[str] = []
        self.assembly: Assembly[_Work] = Assembly()
        self.pending = Pending(writer)
        self.skipped: Counter[str] = Counter()
        self.cutting = Cutting(self._prepared)
        self.vocabulary: list[str] | None = None
        self.settings: ChunkSettings | None = None
        self.counter: TokenCounter | None = None
        if writer.snapshot:
            writer.snapshot.require_model(embedder.model)
            self._stored_settings(writer.snapshot)

    def execute(self) -> None:
        unclaimed: list[list[Outcome]] = []
        try:
            with (
                self.cutting,
                closing(self.embedder.embed_chunks(self._chunks_to_embed(), unclaimed=unclaimed)) as outcomes,
            ):
                for outcome in outcomes:
                    self._accept(outcome)
                    self._store_finished()
            self._store_finished()
            self._retire_vanished()
        finally:
            # What has been embedded is kept, whatever stops the run: Ctrl-C and a dead server included.
            with interrupts_deferred():
                if self.pending.can_commit:
                    self._store_unfinished(outcome for batch in unclaimed for outcome in batch)
                    self.pending.commit()
                self._summarise()

    def _chunks_to_embed(self) -> Iterator[Chunk]:
        for item in discover(self.present):
            if isinstance(item, Skipped):
                self._skip(item)
            elif task := self._task(item):
                self.cutting.put(task)
                while self.cutting and not self.cutting.has_room:
                    yield from self._next_cut()
            self.pending.commit_if_due()
        while self.cutting:
            yield from self._next_cut()
            self.pending.commit_if_due()

    def _task(self, found: Found) -> Task | None:
        """A file that has to be read; None where it is as it was."""
        known = self.known.see(str(found.path))
        if known and known.mtime_ns and (known.mtime_ns, known.size) == (found.mtime_ns, found.size):
            self.report.documents.unchanged += 1
            self.progress.file_done()
            return None
        return Task(found=found, decided_at=time.time_ns(), stored=known.load() if known else None)

    def _next_cut(self) -> Iterator[Chunk]:
        task, result = self.cutting.take()
        self.progress.file_done()
        if self.settings is not None:
            self.cutting.share(self.settings, self.vocabulary)
        if isinstance(result, Unread):
            self._give_up(task, result)
        elif work := self._work(task, result):
            yield from self._missing_chunks(work)

    def _missing_chunks(self, work: _Work) -> Iterator[Chunk]:
        if not work.missing:
            # Stored at once: in the queue it would be held in memory until what stands before it is embedded.
            self._store(work)
            return
        self.progress.chunks_planned(work.missing)
        yield from self.assembly.add(work)

    def _give_up(self, task: Task, unread: Unread) -> None:
        path = str(task.found.path)
        if unread.empty and not self.strict:
            self.skipped[unread.message] += 1
            self.report.documents.removed += task.stored is not None
        else:
            self._fail(path, unread.message)
        if unread.out_of_reach:
            self.unreadable.append(path)
        elif task.stored is not None:
            self._retire(task.stored)

    def _work(self, task: Task, cut: Cut) -> _Work | None:
        """What is to be embedded and stored of a file that was read; None where its content is as it was."""
        found, document = task.found, cut.document
        mtime_ns = found.mtime_ns if task.decided_at - found.mtime_ns > SETTLED_NS else 0
        if cut.unchanged:
            self.report.documents.unchanged += 1
            if mtime_ns:
                self.pending.touched[document.path] = (found.size, mtime_ns)
            return None
        vectors = self.pending.vectors_of([chunk.content_hash for chunk in cut.chunks])
        missing = sum(vector is None for vector in vectors)
        self.report.chunks.reused += len(cut.chunks) - missing
        self.report.notices.extend(Notice(path=document.path, notice=notice) for notice in document.notices)
        row = DocumentRow(
            document_id=document.document_id,
            path=document.path,
            title=document.title or found.path.name,
            format=document.format,
            size=found.size,
            mtime_ns=mtime_ns,
            content_hash=document.content_hash,
            metadata=document.metadata,
        )
        return _Work(row=row, replaces=task.stored, chunks=list(cut.chunks), vectors=vectors, missing=missing)

    def _prepared(self) -> tuple[ChunkSettings, TokenCounter]:
        """Asks the server about the model, the first time a document has to be chunked."""
        if self.settings is not None and self.counter is not None:
            return self.settings, self.counter
        identity = self.embedder.identity
        self.vocabulary = self.embedder.vocabulary()
        counter = token_counter(self.vocabulary)
        reserved = counter.count(identity.document_prefix) if identity.document_prefix else 0
        snapshot = self.writer.snapshot
        if snapshot is None:
            limit = identity.context - SPECIAL_TOKENS
            settings = self.chunker.settled(limit=limit, reserved_tokens=reserved, model=identity.name)
            snapshot = self.writer.create(identity, asdict(settings))
        else:
            snapshot.require_identity(identity)
            settings = self._stored_settings(snapshot)
        self.pending.begin(identity.dimension)
        self.settings, self.counter = settings, counter
        return settings, counter

    def _stored_settings(self, snapshot: Snapshot) -> ChunkSettings:
        return stored_settings(snapshot.manifest.chunker, collection=snapshot.name, choice=self.chunker)

    def _accept(self, outcome: Outcome) -> None:
        if isinstance(outcome, FailedChunk):
            self._replace_failed(self.assembly.failed(), outcome)
            self.progress.chunks_done(1)
            return
        with interrupts_deferred():
            self.assembly.accept(outcome)
            self.report.chunks.embedded += len(outcome.chunks)
        self.progress.chunks_done(len(outcome.chunks))

    def _replace_failed(self, work: _Work, failed: FailedChunk) -> None:
        """A chunk that the server finds too long is halved until it fits; any other failure is reported."""
        pieces: list[tuple[Chunk, NDArray[np.float32]]] = []
        failures: list[Failure] = []
        queue = deque([failed])
        while queue:
            failed = queue.popleft()
            halves = _halves(work.row, failed.chunk) if isinstance(failed.error, InputTooLong) else []
            if not halves:
                place = f"{work.row.path}:{failed.chunk.start_line}"
                failures.append(Failure(path=place, error=failed.error.message))
                continue
            for outcome in self.embedder.embed_together(halves):
                if isinstance(outcome, FailedChunk):
                    queue.append(outcome)
                else:
                    pieces.extend(zip(outcome.chunks, outcome.matrix, strict=True))
        # Only now is the chunk no longer missing: until then an end of the run must find its document unfinished.
        with interrupts_deferred():
            work.pieces.extend(pieces)
            work.failures.extend(failures)
            work.missing -= 1
            self.report.chunks.embedded += len(pieces)

    def _store_finished(self) -> None:
        while self.assembly.has_finished:
            with interrupts_deferred():
                self._store(self.assembly.take())
        self.pending.commit_if_due()

    def _store_unfinished(self, unclaimed: Iterable[Outcome]) -> None:
        """At an early end: documents that are whole all the same, and the vectors of those that are not."""
        self.report.chunks.embedded += self.assembly.accept_unclaimed(unclaimed)
        while self.assembly:
            work = self.assembly.take()
            if work.missing == 0:
                self._store(work)
            elif embedded := work.embedded():
                chunks, vectors = zip(*embedded, strict=True)
                self.pending.add(work.row, chunks, vectors, whole=False)

    def _store(self, work: _Work) -> None:
        """Puts a finished document in and takes the one that it replaces out, both or neither."""
        finished = work.embedded()
        chunks, vectors = [chunk for chunk, _ in finished], [vector for _, vector in finished]
        row = replace(work.row, content_hash="", mtime_ns=0) if work.failures else work.row
        removed = self.pending.hashes_of(work.replaces) - Counter(chunk.content_hash for chunk in chunks)
        counts = self.report.documents
        with interrupts_deferred():
            self.pending.add(row, chunks, vectors)
            if work.replaces is not None:
                self.pending.retired.append(work.replaces)
            self.report.chunks.removed += removed.total()
            if work.failures:
                counts.failed += 1
                self.report.failures.extend(work.failures)
            elif work.replaces is None:
                counts.added += 1
            else:
                counts.updated += 1

    def _retire(self, document: StoredDocument) -> None:
        with interrupts_deferred():
            self.pending.retired.append(document)
            self.report.chunks.removed += document.rows

    def _retire_vanished(self) -> None:
        """Documents below the paths that the walk did not come by, unless it could not look where they are."""
        for path, known in self.known.unseen():
            if not _below(path, self.unreadable):
                self._retire(known.load())
                self.report.documents.removed += 1
                self.pending.commit_if_due()

    def _summarise(self) -> None:
        self.report.skipped = dict(sorted(self.skipped.items()))
        if self.writer.snapshot is not None:
            manifest = self.writer.snapshot.manifest
            self.report.model = manifest.model.name
            self.report.dimension = manifest.model.dimension
            self.report.chunks.total = manifest.live_rows

    def _skip(self, item: Skipped) -> None:
        path = str(item.path)
        if item.is_failure or (item.is_suspect and (self.strict or self.known.see(path))):
            self._fail(path, item.reason)
        else:
            self.skipped[item.reason] += 1
        if not (item.is_failure or item.is_suspect):
            return
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where it may not look
            self.unreadable.append(path)
        elif known := self.known.see(path):
            # It is there, and not to be read: too large by now.
            self._retire(known.load())

    def _fail(self, path: str, reason: str) -> None:
        self.report.documents.failed += 1
        self.report.failures.append(Failure(path=path, error=reason))


def _halves(row: DocumentRow, chunk: Chunk) -> list[Chunk]:
    """A chunk in two, from its file as it was read; none where it cannot be cut, or the file has changed since."""
    try:
        document = read_document(Path(row.path))
    except ReadError:
        return []
    return split_chunk(document, chunk) if document.content_hash == row.content_hash else []


def _below(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)
