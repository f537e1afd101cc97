"""The k best rows of several queries, kept while segments are searched one after the other.

In: rows with float32 scores from a scan, or rows alone from an index. Out: the k best of each query with their exact
scores, equal ones by place. Whatever found a row, its score is computed in one way, in float64, so that one query and a
batch of them, a filter and none, an index and a scan give the same numbers and the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNIT_ROUNDOFF = 2.0**-24
"""Of float32. A sum of d products, added up in any order, errs by at most d times this (Higham, Accuracy and Stability
of Numerical Algorithms, 3.1), relative to the product of the two norms."""

PENDING = 1024
"""Rows beside four times k that a query may hold before they are thinned out: bounds memory, whatever the data."""


class Rows(Protocol):
    """Vectors, some of which can be had by their row numbers: shape (numbers, dimension), float32."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class RowHit:
    """A row of a segment, by the segment's place in the snapshot, and its cosine similarity to the query."""

    score: float
    segment: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """What a query has found so far, best first: exact scores, and where the rows stand."""

    scores: NDArray[np.float64]
    segments: NDArray[np.int64]
    rows: NDArray[np.int64]


class Ranking:
    """`queries` is float32 of shape (n, dimension); rows are taken to have unit norm."""

    def __init__(self, queries: NDArray[np.float32], k: int) -> None:
        import numpy as np  # noqa: PLC0415 - heavy

        self.queries = queries
        self.k = k
        self._exact = queries.astype(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", self._exact, self._exact))
        # Rows have unit norm to a thousandth; the few roundings beside the sum's are in the 8.
        self._error = 1.01 * (queries.shape[1] + 8) * UNIT_ROUNDOFF * norms
        self.floors = np.full(len(queries), -np.inf, np.float32)
        """A row whose float32 score is not above its query's floor is none of the k best."""
        nothing = Best(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
        self.best = [nothing for _ in queries]
        self._limit = 4 * k + PENDING
        self._pending: list[list[tuple[NDArray[np.int64], NDArray[np.float32]]]] = [[] for _ in queries]
        self._held = np.zeros(len(queries), np.int64)

    def offer(self, number: int, vectors: Rows, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Takes in what a scan of segment `number` found: float32 scores of `rows`, shape (rows, queries).

        A score of minus infinity is that of a row that must not be found. `settle` is due before the next segment.
        """
        import numpy as np  # noqa: PLC0415 - heavy

        at, queries = np.nonzero(scores > self.floors)
        order = np.argsort(queries, kind="stable")
        at, queries = at[order], queries[order]
        ends = np.searchsorted(queries, np.arange(len(self.queries) + 1))
        for query in np.flatnonzero(np.diff(ends)).tolist():
            found = at[ends[query] : ends[query + 1]]
            self._pending[query].append((rows[found], scores[found, query]))
            self._held[query] += len(found)
            if self._held[query] > self._limit:
                self._thin_out(query, number, vectors)

    def settle(self, number: int, vectors: Rows) -> None:
        """Scores exactly what was offered of segment `number` and can still be among the k best."""
        import numpy as np  # noqa: PLC0415 - heavy

        for query in np.flatnonzero(self._held).tolist():
            rows, _ = self._promising(query)
            self.score(query, number, vectors, rows)

    def score(self, query: int, number: int, vectors: Rows, rows: NDArray[np.int64]) -> None:
        """Ranks `rows` of segment `number` among the best of `query` by their exact scores."""
        import numpy as np  # noqa: PLC0415 - heavy

        self._hold(query, [])
        rows = np.sort(rows)
        # einsum adds up each row by itself, so a vector has the same score wherever it stands; a BLAS does not.
        exact = np.einsum("ij,j->i", vectors[rows].astype(np.float64), self._exact[query])
        old = self.best[query]
        scores = np.concatenate([old.scores, exact])
        segments = np.concatenate([old.segments, np.full(len(rows), number, np.int64)])
        rows = np.concatenate([old.rows, rows])
        order = np.lexsort((rows, segments, -scores))[: self.k]
        self.best[query] = Best(scores[order], segments[order], rows[order])
        if len(order) == self.k:
            self._raise_floor(query, float(scores[order[-1]]) - float(self._error[query]))

    def hits(self) -> list[list[RowHit]]:
        """The k best of each query, best first."""
        return [
            [
                RowHit(score, segment, row)
                for score, segment, row in zip(
                    best.scores.tolist(), best.segments.tolist(), best.rows.tolist(), strict=True
                )
            ]
            for best in self.best
        ]

    def _thin_out(self, query: int, number: int, vectors: Rows) -> None:
        rows, scores = self._promising(query)
        if len(rows) > self._limit // 2:
            # So many within rounding of each other: only exact scores can tell them apart.
            self.score(query, number, vectors, rows)
        else:
            self._hold(query, [(rows, scores)])

    def _promising(self, query: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What `query` holds, without what is certain to lose against k others."""
        import numpy as np  # noqa: PLC0415 - heavy

        parts = self._pending[query]
        rows = np.concatenate([part for part, _ in parts])
        scores = np.concatenate([part for _, part in parts])
        if len(rows) > self.k:
            kth = float(np.partition(scores, len(scores) - self.k)[len(scores) - self.k])
            self._raise_floor(query, kth - 2 * float(self._error[query]))
        keep = scores > self.floors[query]
        return rows[keep], scores[keep]

    def _hold(self, query: int, parts: list[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> None:
        self._pending[query] = parts
        self._held[query] = sum(len(rows) for rows, _ in parts)

    def _raise_floor(self, query: int, floor: float) -> None:
        import numpy as np  # noqa: PLC0415 - heavy

        self.floors[query] = max(self.floors[query], np.nextafter(np.float32(floor), np.float32(-np.inf)))
