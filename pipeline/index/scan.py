"""Exact search of segments: inner products with every allowed row, block by block, over the mapped vectors.

In: the vectors of segments, which rows count, a `Ranking`. Out: what the ranking holds afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pipeline.index.faiss_library import load_faiss
from pipeline.index.threads import one_by_one, side_by_side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.index.ranking import Ranking

SINGLE_BLOCK = 16_384
"""Rows at a time for one query: a thread's piece of work, about five milliseconds of it at 768 dimensions."""

BATCH_BLOCK = 4096
"""Rows at a time for several queries (measured: 1,024 rows take twice as long, more gain nothing)."""

GATHER_BELOW = 0.25
"""Share of the rows up to which allowed rows are copied together first; above it, scanning all is as fast."""

WORTH_THREADS = 4096
"""Rows from which on one query shares them out among threads: about a millisecond of work."""


class Part(NamedTuple):
    """A segment by its place: float32 `vectors` of shape (rows, dimension), and which of them count, None for all."""

    number: int
    vectors: NDArray[np.float32]
    allowed: NDArray[np.bool_] | None


class _Block(NamedTuple):
    """Neighbouring rows of a part, or, as `gathered` says, some of them."""

    part: Part
    rows: NDArray[np.int64]
    gathered: bool

    @property
    def vectors(self) -> NDArray[np.float32]:
        return self.part.vectors[self.rows if self.gathered else slice(self.rows[0], self.rows[-1] + 1)]

    def strike_out(self, scores: NDArray[np.float32]) -> None:
        """Lets no row that does not count have a score."""
        import numpy as np  # noqa: PLC0415 - heavy

        if self.part.allowed is not None and not self.gathered:
            scores[~self.part.allowed[self.rows[0] : self.rows[-1] + 1]] = -np.inf


def scan(ranking: Ranking, parts: Sequence[Part]) -> None:
    """Ranks every row of the segments that is allowed."""
    import numpy as np  # noqa: PLC0415 - heavy

    several = len(ranking.queries) > 1
    blocks = [list(_blocks(part, several=several)) for part in parts]
    every = [block for of_part in blocks for block in of_part]
    transposed = np.ascontiguousarray(ranking.queries.T)

    def scores(block: _Block) -> NDArray[np.float32]:
        return block.vectors @ transposed if several else _products(block.vectors, ranking.queries[0])

    if several:
        # One after the other, as a product of matrices has threads of its own.
        found = map(scores, every)
    else:
        # One query waits for memory: threads read more of it at a time, whatever segments it belongs to.
        each = side_by_side if sum(len(block.rows) for block in every) >= WORTH_THREADS else one_by_one
        found = iter(each(scores, every))
    for part, of_part in zip(parts, blocks, strict=True):
        for block in of_part:
            seen = next(found)
            block.strike_out(seen)
            ranking.offer(part.number, part.vectors, block.rows, seen)
        ranking.settle(part.number, part.vectors)


def _blocks(part: Part, *, several: bool) -> Iterator[_Block]:
    import numpy as np  # noqa: PLC0415 - heavy

    rows, gathered = np.arange(len(part.vectors)), False
    if part.allowed is not None and np.count_nonzero(part.allowed) < len(rows) * GATHER_BELOW:
        rows, gathered = np.flatnonzero(part.allowed), True
    step = BATCH_BLOCK if several or gathered else SINGLE_BLOCK
    for start in range(0, len(rows), step):
        yield _Block(part, rows[start : start + step], gathered)


def _products(block: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of the rows of `block` with one query, shape (rows, 1), as fast as memory can be read."""
    import numpy as np  # noqa: PLC0415 - heavy

    faiss = load_faiss()
    scores = np.empty((len(block), 1), np.float32)
    pointers = (faiss.swig_ptr(array) for array in (scores, query, block))
    faiss.fvec_inner_products_ny(*pointers, block.shape[1], len(block))
    return scores
