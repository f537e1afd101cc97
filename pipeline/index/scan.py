"""Exact search of one segment: inner products with every allowed row, block by block, over the mapped vectors.

In: the vectors of a segment, which rows count, a `Ranking`. Out: what the ranking holds afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.index.faiss_library import load_faiss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.index.ranking import Ranking

SINGLE_BLOCK = 65_536
"""Rows at a time for one query, whose scores are few bytes a row."""

BATCH_BLOCK = 4096
"""Rows at a time for several queries (measured: 1,024 rows take twice as long, more gain nothing)."""

GATHER_BELOW = 0.25
"""Share of the rows up to which allowed rows are copied together first; above it, scanning all is as fast."""


def scan(
    ranking: Ranking,
    number: int,
    vectors: NDArray[np.float32],
    allowed: NDArray[np.bool_] | None,
) -> None:
    """Ranks every row of segment `number` that is allowed; `vectors` is float32 of shape (rows, dimension)."""
    import numpy as np  # noqa: PLC0415 - heavy

    places = None
    if allowed is not None:
        count = int(np.count_nonzero(allowed))
        if count < len(allowed) * GATHER_BELOW:
            places = np.flatnonzero(allowed)
    total = len(vectors) if places is None else len(places)
    several = len(ranking.queries) > 1
    step = BATCH_BLOCK if several or places is not None else SINGLE_BLOCK
    transposed = np.ascontiguousarray(ranking.queries.T) if several else None
    for start in range(0, total, step):
        stop = min(total, start + step)
        rows = np.arange(start, stop) if places is None else places[start:stop]
        block = vectors[start:stop] if places is None else vectors[rows]
        scores = block @ transposed if transposed is not None else _products(block, ranking.queries[0])
        if places is None and allowed is not None:
            scores[~allowed[start:stop]] = -np.inf
        ranking.offer(number, vectors, rows, scores)
    ranking.settle(number, vectors)


def _products(block: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of the rows of `block` with one query, shape (rows, 1), as fast as memory can be read."""
    import numpy as np  # noqa: PLC0415 - heavy

    faiss = load_faiss()
    scores = np.empty((len(block), 1), np.float32)
    pointers = (faiss.swig_ptr(array) for array in (scores, query, block))
    faiss.fvec_inner_products_ny(*pointers, block.shape[1], len(block))
    return scores
