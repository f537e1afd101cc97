"""Documents that are finished or gone: into the next commit, and counted in the report, both or neither.

In: `Work` with its vectors, stored documents that no longer count. Out: what `Pending` commits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from pipeline.embed import Assembly, Outcome
from pipeline.ingest.pending import Pending
from pipeline.ingest.report import IndexReport
from pipeline.ingest.work import Work
from pipeline.interrupts import interrupts_deferred
from pipeline.store import StoredDocument


class Storing:
    """Hands on to `pending`, and counts in `report`."""

    def __init__(self, pending: Pending, report: IndexReport) -> None:
        self._pending = pending
        self._report = report

    def store(self, work: Work) -> None:
        """Puts a finished document in and takes the one that it replaces out."""
        finished = work.embedded()
        chunks, vectors = [chunk for chunk, _ in finished], [vector for _, vector in finished]
        row = replace(work.row, content_hash="", mtime_ns=0) if work.failures else work.row
        removed = self._pending.hashes_of(work.replaces) - Counter(chunk.content_hash for chunk in chunks)
        counts = self._report.documents
        with interrupts_deferred():
            self._pending.add(row, chunks, vectors)
            if work.replaces is not None:
                self._pending.retired.append(work.replaces)
            self._report.chunks.removed += removed.total()
            if work.failures:
                counts.failed += 1
                self._report.failures.extend(work.failures)
            elif work.replaces is None:
                counts.added += 1
            else:
                counts.updated += 1

    def store_finished(self, assembly: Assembly[Work]) -> None:
        """Every document that has all of its vectors, and stands before none that has not."""
        if assembly.has_finished:
            with interrupts_deferred():
                while assembly.has_finished:
                    self.store(assembly.take())
        self._pending.commit_if_due()

    def store_unfinished(self, assembly: Assembly[Work], unclaimed: Iterable[Outcome]) -> None:
        """At an early end: documents that are whole all the same, and the vectors of those that are not."""
        self._report.chunks.embedded += assembly.accept_unclaimed(unclaimed)
        while assembly:
            work = assembly.take()
            if work.missing == 0:
                self.store(work)
            elif embedded := work.embedded():
                chunks, vectors = zip(*embedded, strict=True)
                self._pending.add(work.row, chunks, vectors, whole=False)

    def retire(self, document: StoredDocument) -> None:
        """Takes a document out."""
        with interrupts_deferred():
            self._pending.retired.append(document)
            self._report.chunks.removed += document.rows
