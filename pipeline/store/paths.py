"""The documents of a segment by path, so that a run reads of a collection only what lies below the paths it is given.

In: what a segment stores of its documents. Out: a table in the order of their paths, to be written beside it; once it
is mapped, the documents whose paths lie in some spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.store.sorted_strings import SortedStrings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

STORED = ("path", "size", "mtime_ns")
"""What the table has of each document beside its position."""

Span = tuple[bytes, bytes]
"""Paths from the first on and before the second, by their UTF-8."""

LAST = b"\xff"
"""No byte of UTF-8 is as large."""

EVERYTHING: Span = (b"", LAST)


def spans_below(roots: Iterable[str]) -> list[Span]:
    """The paths that are one of `roots` or lie below one."""
    spans: list[Span] = []
    for root in roots:
        path = root.encode("utf-8", "surrogateescape")
        spans += [(path, path + b"\0"), span_of(path.rstrip(b"/") + b"/")]
    return spans


def span_of(prefix: bytes) -> Span:
    """The paths that begin so."""
    return prefix, prefix + LAST


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same paths by spans in order, of which none overlaps another."""
    found: list[Span] = []
    for first, end in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((first, end))
    return found


def rows_in(spans: Iterable[Span], paths: pa.Array) -> NDArray[np.intp]:
    """The places, ascending, of those of `paths` that lie in one of `spans`.

    The paths ascend by their UTF-8, and the spans are `joined`.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    ordered = SortedStrings(paths)
    found = [np.arange(ordered.first_from(first), ordered.first_from(end)) for first, end in spans]
    return np.concatenate([np.empty(0, np.intp), *found])


def path_table(documents: pa.Table) -> pa.Table:
    """The table of documents that are given in the order of their positions; columns that it has no use for are left.

    Columns `path`, ascending by UTF-8, `size`, `mtime_ns` and `position`.
    """
    import numpy as np  # noqa: PLC0415 - heavy
    import pyarrow as pa  # noqa: PLC0415 - heavy

    # Python orders strings by code points, as their UTF-8 is ordered; Arrow's sorting takes longer to be imported.
    paths: list[str] = documents.column("path").to_pylist()
    order = np.array(sorted(range(len(paths)), key=paths.__getitem__), np.uint32)
    return pa.table(
        {
            "path": pa.array([paths[position] for position in order.tolist()], pa.string()),
            "size": pa.array(documents.column("size").to_numpy()[order], pa.int64()),
            "mtime_ns": pa.array(documents.column("mtime_ns").to_numpy()[order], pa.int64()),
            "position": pa.array(order, pa.uint32()),
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class PathTable:
    """Columns of a path table, all of the same length: of each document its path, position, size and `mtime_ns`."""

    paths: pa.Array
    positions: NDArray[np.uint32]
    sizes: NDArray[np.int64]
    times: NDArray[np.int64]

    @property
    def numbers(self) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
        """All columns but the paths."""
        return self.positions, self.sizes, self.times

    @classmethod
    def of(cls, table: pa.Table) -> PathTable:
        """Of a table as `path_table` makes it, without a copy."""
        names = ("path", "position", "size", "mtime_ns")
        paths, *numbers = (table.column(name).combine_chunks() for name in names)
        positions, sizes, times = (column.to_numpy() for column in numbers)
        return cls(paths=paths, positions=positions, sizes=sizes, times=times)

    def paths_of(self, rows: NDArray[np.intp]) -> Iterator[str]:
        """The paths of some rows."""
        paths = SortedStrings(self.paths)
        return (paths[row].decode() for row in rows.tolist())
