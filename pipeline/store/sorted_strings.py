"""Sorted Arrow strings, searched where they lie: of a mapped file only what the search comes by is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class SortedStrings:
    """`strings`, of Arrow's type string, ascending by their UTF-8."""

    def __init__(self, strings: pa.Array) -> None:
        _, offsets, content = strings.buffers()
        first = strings.offset
        self._bounds = memoryview(offsets or b"\0\0\0\0").cast("i")[first : first + len(strings) + 1]
        self._content = memoryview(content or b"")

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, index: int) -> bytes:
        """The UTF-8 of one string, by its place from 0."""
        return self._content[self._bounds[index] : self._bounds[index + 1]].tobytes()

    def first_from(self, key: bytes) -> int:
        """The place of the first string that is not before `key`; the number of strings where all are."""
        # Arrow's scalars would take many times as long.
        bounds, content = self._bounds, self._content
        low, high = 0, len(bounds) - 1
        while low < high:
            middle = (low + high) // 2
            if content[bounds[middle] : bounds[middle + 1]].tobytes() < key:
                low = middle + 1
            else:
                high = middle
        return low
