"""Exact search: every live vector of a snapshot against a query, through FAISS over the memory-mapped files.

In: a snapshot, unit query vectors. Out: the k rows of highest cosine similarity, best first.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import DimensionMismatch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.store import Segment, Snapshot


@dataclass(frozen=True, slots=True)
class RowHit:
    """A row of a segment and its cosine similarity to the query, in [-1, 1]."""

    score: float
    segment: int
    row: int


def search_exact(snapshot: Snapshot, query: NDArray[np.float32], k: int) -> list[RowHit]:
    """The `k` live rows most similar to `query`, float32 of shape (dimension,) and unit norm.

    Equal scores rank by place in the collection, so the order is always the same. Raises DimensionMismatch.
    """
    dimension = snapshot.manifest.model.dimension
    if query.shape != (dimension,):
        raise DimensionMismatch(
            model=snapshot.manifest.model.name,
            expected=dimension,
            actual=query.shape[-1],
            where=f"query to collection {snapshot.name!r}",
        )
    hits = [
        RowHit(score, number, row)
        for number, segment in enumerate(snapshot.segments)
        for score, row in _search_segment(segment, query, k)
    ]
    return heapq.nsmallest(k, hits, key=lambda hit: (-hit.score, hit.segment, hit.row))


def _search_segment(segment: Segment, query: NDArray[np.float32], k: int) -> list[tuple[float, int]]:
    live = segment.record.rows - segment.record.deleted_rows
    if live == 0:
        return []
    import faiss  # noqa: PLC0415 - heavy

    wanted = min(k, live)
    asked = wanted
    while True:
        scores, rows = faiss.knn(query[None, :], segment.vectors, asked, metric=faiss.METRIC_INNER_PRODUCT)
        found = [
            (float(score), int(row))
            for score, row in zip(scores[0], rows[0], strict=True)
            if row >= 0 and segment.live_mask[row]
        ]
        if len(found) >= wanted or asked == segment.record.rows:
            return found[:wanted]
        asked = min(segment.record.rows, asked * 4)
