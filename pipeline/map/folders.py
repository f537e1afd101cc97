"""Folders and names by which documents are told apart on a map. In: paths. Out: groups and short names. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def folders_of(paths: Sequence[str], sizes: Sequence[int], most: int) -> tuple[list[str], NDArray[np.int32]]:
    """Names of folders below the one that holds all documents, and the folder of each.

    The folder with the most passages is split into those below it, as long as there are `most` at the most. What
    lies directly in a folder that is split goes by the folder's own name.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    parents = [PurePosixPath(path).parts[:-1] for path in paths]
    root = _common(parents)
    depth = [len(root)] * len(paths)
    closed: set[tuple[str, ...]] = set()
    while True:
        keys = [parent[:deep] for parent, deep in zip(parents, depth, strict=True)]
        totals: Counter[tuple[str, ...]] = Counter()
        for key, size in zip(keys, sizes, strict=True):
            totals[key] += size
        open_keys = [key for key in totals if key not in closed]
        if not open_keys:
            break
        largest = max(open_keys, key=lambda key: (totals[key], key))
        members = [at for at, key in enumerate(keys) if key == largest]
        below = {parents[at][: len(largest) + 1] for at in members}
        closed.add(largest)
        if below != {largest} and len(totals) - 1 + len(below) <= most:
            for at in members:
                depth[at] = len(largest) + 1
    keys = [parent[:deep] for parent, deep in zip(parents, depth, strict=True)]
    found = sorted(set(keys))
    numbers = {key: number for number, key in enumerate(found)}
    names = ["/".join(key[len(root) :]) or (root[-1] if root else "/") for key in found]
    return names, np.array([numbers[key] for key in keys], np.int32)


def _common(parents: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    first, last = min(parents), max(parents)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return first[:shared]


def names_of(paths: Sequence[str]) -> list[str]:
    """File names, with as much of the folders before them as tells them apart."""
    parts = [PurePosixPath(path).parts for path in paths]
    names = [each[-1] if each else path for each, path in zip(parts, paths, strict=True)]
    for deep in (2, 3):
        counts = Counter(names)
        names = ["/".join(each[-deep:]) if counts[name] > 1 else name for each, name in zip(parts, names, strict=True)]
    return names
