"""What one search looks through: the segments of one or several collections with the same model, as one.

In: snapshots. Out: rows numbered through all segments, and what is stored of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipeline.index import search_dense
from pipeline.lexical import LexicalIndex
from pipeline.store import Segment, Snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLED_ROWS = 4096


class Scope:
    """Row r of segment s is `starts[s] + r`, segments counted through the snapshots in order."""

    def __init__(self, snapshots: Sequence[Snapshot], previous: Scope | None = None) -> None:
        self.snapshots = tuple(snapshots)
        self.segments: tuple[Segment, ...] = tuple(segment for each in snapshots for segment in each.segments)
        self.starts = [0]
        for segment in self.segments:
            self.starts.append(self.starts[-1] + segment.record.rows)
        # Only what it has opened is taken over: a chain of former scopes would grow.
        self._opened: LexicalIndex | None = previous.__dict__.get("lexical") if previous else None

    @property
    def rows(self) -> int:
        return self.starts[-1]

    @property
    def live_rows(self) -> int:
        return sum(snapshot.manifest.live_rows for snapshot in self.snapshots)

    @cached_property
    def lexical(self) -> LexicalIndex:
        return LexicalIndex.open(self.snapshots, self._opened)

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """Shape (rows,): whether each row still counts."""
        import numpy as np  # noqa: PLC0415 - heavy

        return np.concatenate([segment.live_mask for segment in self.segments] or [np.empty(0, np.bool_)])

    def place(self, row: int) -> tuple[int, int]:
        """The segment of a row, and its number in it."""
        segment = bisect_right(self.starts, row) - 1
        return segment, row - self.starts[segment]

    def collection(self, row: int) -> Snapshot:
        """The snapshot that a row belongs to."""
        segment = self.place(row)[0]
        for snapshot in self.snapshots:
            if segment < len(snapshot.segments):
                return snapshot
            segment -= len(snapshot.segments)
        raise IndexError(row)

    def nearest(
        self, vector: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None
    ) -> list[tuple[int, float]]:
        """The `k` live rows most similar to `vector`, (dimension,) and unit norm, with their cosine; best first.

        `allowed`, shape (rows,), says which rows may be found.
        """
        found: list[tuple[int, float]] = []
        first = 0
        for snapshot in self.snapshots:
            starts = self.starts[first : first + len(snapshot.segments) + 1]
            first += len(snapshot.segments)
            masks = None if allowed is None else [allowed[at:end] for at, end in pairwise(starts)]
            hits = search_dense(snapshot, vector[None, :], k, allowed=masks)[0]
            found.extend((starts[hit.segment] + hit.row, hit.score) for hit in hits)
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:k]

    def vectors(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Stored vectors of some rows, shape (len(rows), dimension), in the order asked."""
        import numpy as np  # noqa: PLC0415 - heavy

        dimension = self.snapshots[0].manifest.model.dimension
        out = np.empty((len(rows), dimension), np.float32)
        for at, row in enumerate(rows):
            segment, number = self.place(row)
            out[at] = self.segments[segment].vectors[number]
        return out

    def background(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines of `vector` with some thousand live rows spread evenly over the scope."""
        import numpy as np  # noqa: PLC0415 - heavy

        step = max(1, self.rows // SAMPLED_ROWS)
        cosines: list[NDArray[np.float32]] = []
        for segment, start in zip(self.segments, self.starts, strict=False):
            chosen = slice(-start % step, None, step)
            cosines.append((segment.vectors[chosen] @ vector)[segment.live_mask[chosen]])
        return np.concatenate(cosines) if cosines else np.empty(0, np.float32)

    def passages(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The columns of `passages.arrow` for some rows, in the order asked."""
        by_segment: defaultdict[int, list[int]] = defaultdict(list)
        for row in rows:
            segment, number = self.place(row)
            by_segment[segment].append(number)
        found: dict[int, dict[str, Any]] = {}
        for segment, numbers in by_segment.items():
            columns = self.segments[segment].passages(numbers)
            found.update({self.starts[segment] + at: each for at, each in zip(numbers, columns, strict=True)})
        return [found[row] for row in rows]
