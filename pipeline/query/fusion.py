"""Dense and lexical scores of the same rows become one. Pure; docs/search.md gives the reasons and the figures.

In: for each row cosine, BM25 and vector, what cosines are usual for this query, the most that BM25 could be. Out: one
score for each row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEXICAL_WEIGHT = 15.0
"""Deviations of the cosine that a row is worth which has all of the query's words.

The best rows stand four to five deviations out and have about three tenths of the weight of the query's words: with 15
the two count the same for a usual query. `benchmarks/fusion.py` measures it; between 10 and 20 little changes.
"""

USUAL_DEVIATION = 0.1
USUAL_ROWS = 10
"""What is taken for the spread of cosines before any was seen, and the number of rows that it counts for."""


SMOOTHED = 100
NEIGHBOURS = 5
NEIGHBOURS_PART = 0.3
"""Of the best rows so many are compared with each other; how many of those most like a row have a say, and how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """Mean and deviation of the cosines between a query and rows taken at random."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, cosines: NDArray[np.float32]) -> Background:
        count = len(cosines)
        if not count:
            return cls(mean=0.0, deviation=USUAL_DEVIATION)
        spread = count * float(cosines.var(dtype="float64")) + USUAL_ROWS * USUAL_DEVIATION**2
        return cls(mean=float(cosines.mean(dtype="float64")), deviation=(spread / (count + USUAL_ROWS)) ** 0.5)

    def deviations(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """How many deviations each cosine stands above the mean."""
        return ((cosines - self.mean) / self.deviation).astype(cosines.dtype)


def shares(scores: NDArray[np.float32], most: float) -> NDArray[np.float32]:
    """The part of the weight of a query's words that each row has, from 0 to 1."""
    return (scores / most if most > 0 else scores * 0).astype(scores.dtype)


def fused(deviations: NDArray[np.float32], lexical_shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """One score a row, higher is better."""
    return (deviations + LEXICAL_WEIGHT * lexical_shares).astype(deviations.dtype)


def smoothed(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], part: float = NEIGHBOURS_PART
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores drawn towards those of the rows most like each, and what these have in the mean; both of shape (rows,).

    What is relevant to one question is alike (van Rijsbergen's cluster hypothesis), so that a row whose like score low
    was found for a reason of its own. Source: Diaz, Regularizing Ad Hoc Retrieval Scores, CIKM 2005. Only the best rows
    are looked at; the others, and a row alone, are their own neighbours.

    Args:
        scores: (rows,), fused.
        vectors: (rows, dimension), unit norm.
        part: what the neighbours have of the say, from 0 to 1.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    best = np.argsort(-scores, kind="stable")[:SMOOTHED]
    neighbours = scores.copy()
    if len(best) > 1:
        cosines = vectors[best] @ vectors[best].T
        np.fill_diagonal(cosines, -np.inf)
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(best) - 1)]
        neighbours[best] = scores[best][nearest].mean(axis=1)
    drawn = (1 - part) * scores + part * neighbours
    return drawn.astype(scores.dtype), neighbours
