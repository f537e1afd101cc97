"""Which passages of a snapshot are drawn: all, or a sample that hardly changes when the collection does.

In: a snapshot, a size, a seed. Out: `Sample`: rows, the keys by which they are known again, their vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline.query.scope import Scope

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from pipeline.store import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """`rows`, ascending, are numbered through the segments as in `Scope`.

    `keys`, uint64, belong to them: a passage has the same key wherever it stands, as long as what was embedded of it is
    the same.
    """

    scope: Scope
    rows: NDArray[np.int64]
    keys: NDArray[np.uint64]

    @classmethod
    def of(cls, snapshot: Snapshot, size: int, seed: int) -> Sample:
        """The live passages, or the `size` of them whose keys, mixed with the seed, are the least.

        Bottom-k sampling (Cohen and Kaplan, Summarizing data using bottom-k sketches, PODC 2007): every passage is as
        likely as any other, and one that is added takes the place of at most one.
        """
        import numpy as np  # noqa: PLC0415 - heavy

        scope = Scope([snapshot])
        keys = np.empty(scope.rows, np.uint64)
        for segment, start in zip(scope.segments, scope.starts, strict=False):
            segment_keys, rows, _ = segment.hashes
            keys[start + rows.astype(np.int64)] = segment_keys
        live = np.flatnonzero(scope.live)
        if len(live) > size:
            least = np.lexsort((live, _mixed(keys[live], seed)))[:size]
            live = np.sort(live[least])
        return cls(scope, live, keys[live])

    def __len__(self) -> int:
        return len(self.rows)

    def parts(self) -> Iterator[tuple[int, slice]]:
        """The number of each segment with the positions in `rows` that are its rows."""
        import numpy as np  # noqa: PLC0415 - heavy

        bounds = np.searchsorted(self.rows, self.scope.starts).tolist()
        for number, (first, last) in enumerate(pairwise(bounds)):
            if last > first:
                yield number, slice(first, last)

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some of `rows`, shape (len(positions), dimension); the one large thing held in memory."""
        import numpy as np  # noqa: PLC0415 - heavy

        out = np.empty((len(positions), self.scope.snapshots[0].manifest.model.dimension), np.float32)
        rows = self.rows[positions]
        owners = np.searchsorted(self.scope.starts, rows, side="right") - 1
        for number in np.unique(owners).tolist():
            mine = np.flatnonzero(owners == number)
            out[mine] = self.scope.segments[number].vectors[rows[mine] - self.scope.starts[number]]
        return out

    def passages(self, *columns: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Columns of `passages.arrow`, a few rows at a time: the position of the first in `rows`, and the batch."""
        import numpy as np  # noqa: PLC0415 - heavy

        for number, part in self.parts():
            start, at = self.scope.starts[number], part.start
            for batch in self.scope.segments[number].passage_batches(*columns):
                end = int(np.searchsorted(self.rows, start + batch.num_rows))
                if end > at:
                    yield at, batch.take(self.rows[at:end] - start)
                start, at = start + batch.num_rows, end


def _mixed(keys: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): another order for every seed."""
    import numpy as np  # noqa: PLC0415 - heavy

    mixed = keys + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
