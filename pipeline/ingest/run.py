"""Runs stages 1 to 4 as one lazy chain: brings a collection up to date with paths and reports what it did.

In: a collection's layout, an `Embedder`, paths. Out: an `IndexReport`, and the collection committed step by step, so
that a run that is cut short loses only what has not been committed. Unchanged files cost a stat, unchanged chunks
nothing at the model.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pipeline.chunk import ChunkerChoice, parse_chunker
from pipeline.embed import Assembly, Embedder, FailedChunk, Outcome
from pipeline.errors import PipelineError
from pipeline.ingest.cut import Cut, Unread
from pipeline.ingest.cutting import Cutting, Task
from pipeline.ingest.pending import Pending
from pipeline.ingest.preparing import Preparation
from pipeline.ingest.report import Failure, IndexProgress, IndexReport, Notice
from pipeline.ingest.storing import Storing
from pipeline.ingest.work import Work, embed_in_halves, settled_time, work_of
from pipeline.interrupts import interrupts_deferred
from pipeline.lexical import LexicalBeside
from pipeline.optimize import optimize
from pipeline.read import Found, Skipped, discover
from pipeline.store import CollectionWriter, KnownDocuments, Layout, spans_below
from pipeline.types import Chunk


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
        try:
            with LexicalBeside(layout) as lexical:
                _Run(
                    writer,
                    embedder,
                    paths,
                    present,
                    chunker=choice,
                    strict=strict,
                    progress=progress,
                    report=report,
                    on_commit=lexical.committed,
                ).execute()
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
        on_commit: Callable[[], None],
    ) -> None:
        self.writer = writer
        self.embedder = embedder
        self.present = present
        self.strict = strict
        self.progress = progress
        self.report = report
        self.pending = Pending(writer, on_commit)
        self.prepared = Preparation(writer, embedder, chunker, self.pending.begin)
        roots = [str(path.absolute().resolve()) for path in paths]
        self.known = KnownDocuments(writer.snapshot, spans_below(roots))
        self.unreadable: list[str] = []
        self.skipped: Counter[str] = Counter()
        self.assembly: Assembly[Work] = Assembly()
        self.storing = Storing(self.pending, report)
        self.cutting = Cutting(self.prepared)

    def execute(self) -> None:
        unclaimed: list[list[Outcome]] = []
        try:
            with (
                self.cutting,
                closing(self.embedder.embed_chunks(self._chunks_to_embed(), unclaimed=unclaimed)) as outcomes,
            ):
                for outcome in outcomes:
                    self._accept(outcome)
                    self.storing.store_finished(self.assembly)
            self.storing.store_finished(self.assembly)
            self._retire_vanished()
        finally:
            # What has been embedded is kept, whatever stops the run: Ctrl-C and a dead server included.
            with interrupts_deferred():
                if self.pending.can_commit:
                    self.storing.store_unfinished(self.assembly, (outcome for batch in unclaimed for outcome in batch))
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
        if self.prepared.settings is not None:
            self.cutting.share(self.prepared.settings, self.prepared.tokenizer)
        if isinstance(result, Unread):
            self._give_up(task, result)
        elif work := self._work(task, result):
            yield from self._missing_chunks(work)

    def _missing_chunks(self, work: Work) -> Iterator[Chunk]:
        if not work.missing:
            # Stored at once: in the queue it would be held in memory until what stands before it is embedded.
            self.storing.store(work)
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
            self.storing.retire(task.stored)

    def _work(self, task: Task, cut: Cut) -> Work | None:
        """What is to be embedded and stored of a file that was read; None where its content is as it was."""
        document = cut.document
        if cut.unchanged:
            self.report.documents.unchanged += 1
            if mtime_ns := settled_time(task):
                self.pending.touched[document.path] = (task.found.size, mtime_ns)
            return None
        work = work_of(task, cut, self.pending.vectors_of([chunk.content_hash for chunk in cut.chunks]))
        self.report.chunks.reused += len(work.chunks) - work.missing
        self.report.notices.extend(Notice(path=document.path, notice=notice) for notice in document.notices)
        return work

    def _accept(self, outcome: Outcome) -> None:
        if isinstance(outcome, FailedChunk):
            self._replace_failed(self.assembly.failed(), outcome)
            self.progress.chunks_done(1)
            return
        with interrupts_deferred():
            self.assembly.accept(outcome)
            self.report.chunks.embedded += len(outcome.chunks)
        self.progress.chunks_done(len(outcome.chunks))

    def _replace_failed(self, work: Work, failed: FailedChunk) -> None:
        pieces, failures = embed_in_halves(self.embedder, work.row, failed)
        # Only now is the chunk no longer missing: until then an end of the run must find its document unfinished.
        with interrupts_deferred():
            work.pieces.extend(pieces)
            work.failures.extend(failures)
            work.missing -= 1
            self.report.chunks.embedded += len(pieces)

    def _retire_vanished(self) -> None:
        """Documents below the paths that the walk did not come by, unless it could not look where they are."""
        for path, known in self.known.unseen():
            if not _below(path, self.unreadable):
                self.storing.retire(known.load())
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
            self.storing.retire(known.load())

    def _fail(self, path: str, reason: str) -> None:
        self.report.documents.failed += 1
        self.report.failures.append(Failure(path=path, error=reason))


def _below(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)
