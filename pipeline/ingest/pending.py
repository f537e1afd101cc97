"""What a run has read and embedded and not yet committed, and when it is committed.

In: documents with their vectors, documents that are gone, file times. Out: commits at bounded intervals, so that a run
that is cut short loses little and memory does not grow with the corpus.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pipeline.interrupts import interrupts_deferred
from pipeline.memory import release_arrow_memory
from pipeline.store import CollectionWriter, DocumentRow, SegmentBuilder, StoredDocument
from pipeline.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLOAT_BYTES = 4
COMMIT_ROWS = 4096
COMMIT_BYTES = 8 * 2**20
COMMIT_SECONDS = 30.0
"""A commit is made after so many chunks, documents and retirements, bytes of vectors, or seconds, what comes first."""


class Pending:
    """The next commit of `writer`. `retired` and `touched` are as `CollectionWriter.commit` takes them.

    `on_commit` is called after a commit that was due, and not after the last one.
    `can_commit` is false after a commit that failed: it would fail again for another reason, which hides the true one.
    """

    def __init__(self, writer: CollectionWriter, on_commit: Callable[[], None]) -> None:
        self.retired: list[StoredDocument] = []
        self.touched: dict[str, tuple[int, int]] = {}
        self.can_commit = True
        self._writer = writer
        self._on_commit = on_commit
        self._builder: SegmentBuilder | None = None
        self._last_commit = time.monotonic()

    def begin(self, dimension: int) -> None:
        """To be called, with the dimension of the vectors, before the first document is added."""
        self._builder = SegmentBuilder(dimension)

    def add(
        self,
        document: DocumentRow,
        chunks: Sequence[Chunk],
        vectors: Sequence[NDArray[np.float32]],
        *,
        whole: bool = True,
    ) -> None:
        """Adds a document, as `SegmentBuilder.add` does."""
        assert self._builder is not None
        self._builder.add(document, chunks, vectors, whole=whole)

    def vectors_of(self, hashes: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """The vectors that there are for texts with these hashes, stored or about to be."""
        found = {digest: self._builder.vector_of(digest) for digest in hashes} if self._builder is not None else {}
        if self._writer.snapshot is not None:
            found |= self._writer.snapshot.vectors_of([digest for digest in hashes if found.get(digest) is None])
        return [found.get(digest) for digest in hashes]

    def hashes_of(self, document: StoredDocument | None) -> Counter[bytes]:
        """The content hashes of a stored document's passages."""
        if document is None:
            return Counter()
        assert self._writer.snapshot is not None
        rows = range(document.first_row, document.first_row + document.rows)
        return Counter(self._writer.snapshot.segment_of(document).content_hashes(rows))

    def commit_if_due(self) -> None:
        held = len(self.retired) + len(self.touched)
        vectors = 0
        if self._builder is not None:
            held += self._builder.rows + len(self._builder.documents)
            vectors = self._builder.rows * self._builder.dimension * FLOAT_BYTES
        due = held >= COMMIT_ROWS or vectors >= COMMIT_BYTES or time.monotonic() - self._last_commit > COMMIT_SECONDS
        if due and self.commit():
            self._on_commit()

    def commit(self) -> bool:
        """Commits what there is; whether there was anything. Raises StorageUnwritable."""
        self._last_commit = time.monotonic()
        snapshot = self._writer.snapshot
        if snapshot is None:
            return False
        builder = self._builder or SegmentBuilder(snapshot.manifest.model.dimension)
        if not (builder.documents or self.retired or self.touched):
            return False
        with interrupts_deferred():
            self.can_commit = False
            self._writer.commit(builder, retired=self.retired, touched=self.touched)
            self.can_commit = True
            self.begin(snapshot.manifest.model.dimension)
            self.retired, self.touched = [], {}
            release_arrow_memory()
        return True
