"""Documents whose chunks are being embedded: which vectors are missing, and which documents have them all.

In: documents with the vectors that are known, outcomes of the embedder. Out: the chunks to embed, in order, and the
documents that are finished, in the order in which they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pipeline.embed.embedder import FailedChunk, Outcome
from pipeline.types import Chunk, Vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True, kw_only=True)
class Awaited:
    """A document on its way: `vectors[i]` is None until chunk i has been embedded, `missing` counts what is to come."""

    chunks: list[Chunk]
    vectors: list[NDArray[np.float32] | None]
    missing: int


Document = TypeVar("Document", bound=Awaited)


class Assembly(Generic[Document]):
    """Not thread-safe: whoever drives the embedder calls it."""

    def __init__(self) -> None:
        self._pending: deque[Document] = deque()
        self._awaiting: deque[tuple[Document, int]] = deque()

    def add(self, document: Document) -> Iterator[Chunk]:
        """Takes a document, and gives its chunks that have no vector, to be embedded in this order."""
        self._pending.append(document)
        for index, vector in enumerate(document.vectors):
            if vector is None:
                self._awaiting.append((document, index))
                yield document.chunks[index]

    def accept(self, outcome: Vectors) -> None:
        """Puts the next vectors where they belong; outcomes come in the order of the chunks."""
        for chunk, vector in zip(outcome.chunks, outcome.matrix, strict=True):
            document, index = self._awaiting.popleft()
            assert document.chunks[index].chunk_id == chunk.chunk_id, "embeddings came out of order"
            _put(document, index, vector)

    def accept_unclaimed(self, outcomes: Iterable[Outcome]) -> int:
        """At an early end: vectors that had come and were not handed on yet, in any order. How many there were."""
        places = {document.chunks[index].chunk_id: (document, index) for document, index in self._awaiting}
        count = 0
        for outcome in outcomes:
            if not isinstance(outcome, FailedChunk):
                count += len(outcome.chunks)
                for chunk, vector in zip(outcome.chunks, outcome.matrix, strict=True):
                    _put(*places[chunk.chunk_id], vector)
        return count

    def failed(self) -> Document:
        """The document that the next outcome, a failure, belongs to. Lowering `missing` is left to the caller."""
        return self._awaiting.popleft()[0]

    @property
    def has_finished(self) -> bool:
        """Whether the oldest document has all of its vectors."""
        return bool(self._pending) and self._pending[0].missing == 0

    def take(self) -> Document:
        """The oldest document, finished or not."""
        return self._pending.popleft()

    def __len__(self) -> int:
        return len(self._pending)


def _put(document: Awaited, index: int, vector: NDArray[np.float32]) -> None:
    document.vectors[index] = vector
    document.missing -= 1
