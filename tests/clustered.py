"""Vectors and documents whose neighbourhoods are known: groups of passages around axes."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.store import Snapshot

DIMENSION = 16

Add = Callable[[Sequence[tuple[str, Sequence[str], NDArray[np.float32]]]], Snapshot]
"""Adds documents (path, texts, vectors) to a collection and opens it."""


def around(centre: int, count: int, *, seed: int) -> NDArray[np.float32]:
    """Unit vectors around an axis, as near each other as passages on one thing are."""
    rows = 0.08 * np.random.default_rng(seed).standard_normal((count, DIMENSION))
    rows[:, centre] += 1
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def groups(
    counts: Sequence[int], *, seed: int = 0, name: str = "d"
) -> list[tuple[str, list[str], NDArray[np.float32]]]:
    """A document a group, whose passages lie around an axis of their own."""
    return [
        (
            f"/docs/{name}{at}.md",
            [f"{name} {at} {row}" for row in range(count)],
            around(at, count, seed=100 * seed + at),
        )
        for at, count in enumerate(counts)
    ]
