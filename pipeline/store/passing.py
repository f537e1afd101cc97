"""The vectors of a segment for whoever goes through all of them once: what has been read is let go of.

In: a segment. Out: an array of its rows as far as slicing goes. Pages of a map count as memory of the process as long
as they are mapped, and building an index would map them all.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from pipeline.store.segment import Segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS_AT_ONCE = 512
"""Rows far apart bring their neighbours with them: the system maps 64 KiB around each."""


class PassingVectors:
    """Float32 of `shape` (rows, dimension); each index or slice gives a copy. Raises CorruptCollection."""

    def __init__(self, segment: Segment, dimension: int) -> None:
        import numpy as np  # noqa: PLC0415 - heavy

        path, offset = segment.vector_bytes()
        rows = segment.record.rows
        with path.open("rb") as file:
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        values = np.frombuffer(self._mapped, np.float32, rows * dimension, offset if rows else 0)
        self._vectors = values.reshape(rows, dimension)
        self.shape = self._vectors.shape

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, key: slice | NDArray[np.intp]) -> NDArray[np.float32]:
        import numpy as np  # noqa: PLC0415 - heavy

        rows = np.arange(len(self))[key]
        found = np.empty((len(rows), self.shape[1]), np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            piece = rows[start : start + ROWS_AT_ONCE]
            found[start : start + len(piece)] = self._vectors[piece]
            if hasattr(self._mapped, "madvise"):
                self._mapped.madvise(mmap.MADV_DONTNEED)
        return found
