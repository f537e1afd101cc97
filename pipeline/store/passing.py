"""The vectors of a segment for whoever goes through all of them once: read, and not mapped.

In: a file and where in it they start. Out: copies of rows, or all of them block by block. Pages of a map count as
memory of the process as long as they are mapped, and one row may bring two megabytes of its neighbours with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.store.files import reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PassingVectors:
    """Float32 of `shape` (rows, dimension); row numbers or a slice give a copy. Raises CorruptCollection."""

    def __init__(self, path: Path, offset: int, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._path, self._offset = path, offset

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        import numpy as np  # noqa: PLC0415 - heavy

        rows = np.arange(*key.indices(len(self))) if isinstance(key, slice) else key
        found = np.empty((len(rows), self.shape[1]), np.float32)
        # Rows that follow each other are read together.
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()
        with reading(self._path), self._path.open("rb") as file:
            for first, last in pairwise([*starts, len(rows)]):
                _read_into(file.fileno(), found[first:last], self._offset + int(rows[first]) * found.strides[0])
        return found

    def blocks(self, rows: int) -> Iterator[NDArray[np.float32]]:
        """All vectors in order, so many rows at a time and the rest. A block is good until the next one is asked for.

        They are read into the same memory: to be given new memory each time takes three times as long as to read.
        """
        import numpy as np  # noqa: PLC0415 - heavy

        held = np.empty((min(rows, len(self)), self.shape[1]), np.float32)
        with reading(self._path), self._path.open("rb") as file:
            for start in range(0, len(self), rows):
                block = held[: min(rows, len(self) - start)]
                _read_into(file.fileno(), block, self._offset + start * held.strides[0])
                yield block


def _read_into(descriptor: int, values: NDArray[np.float32], position: int) -> None:
    """Fills `values` with what stands in a file from `position` on. Raises ValueError where it ends before."""
    target = values.data.cast("B")
    while target:
        count = os.preadv(descriptor, [target], position)
        if not count:
            raise ValueError("it ends before its last row")
        target, position = target[count:], position + count
