"""Places on a map for what was not projected with it: newer passages, the query, hits outside the sample.

In: similarities to passages that have places. Out: a place among those that are most similar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.index.faiss_library import load_faiss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOURS = 10
BLOCK = 8192
STEPS = 20


def places_among(cosines: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """A place for each row of `cosines`, shape (n, k), to passages at `places`, shape (n, k, 2).

    The weighted geometric median of the neighbours' places by Weiszfeld's iteration (Tohoku Mathematical Journal
    1937), from their weighted mean: neighbours that are elsewhere on the map do not draw it into the void between. A
    neighbour weighs as its cosine exceeds that of the last one.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    weights = cosines - cosines.min(axis=1, keepdims=True)
    weights += 0.1 * weights.max(axis=1, keepdims=True) + 1e-6
    spread = float(places.reshape(-1, 2).std()) + 1e-6
    found = _mean(weights, places)
    for _ in range(STEPS):
        away = np.linalg.norm(places - found[:, None, :], axis=2)
        found = _mean(weights / np.maximum(away, 1e-4 * spread), places)
    return found.astype(np.float32)


def _mean(weights: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    return (weights[:, :, None] * places).sum(axis=1) / weights.sum(axis=1)[:, None]


def place_rows(
    vectors: NDArray[np.float32], known: NDArray[np.float32], places: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Places for `vectors` among the `known` ones, and the number of the most similar known one of each."""
    import numpy as np  # noqa: PLC0415 - heavy

    faiss = load_faiss()
    found = np.empty((len(vectors), 2), np.float32)
    nearest = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), BLOCK):
        part = slice(start, start + BLOCK)
        cosines, rows = faiss.knn(vectors[part], known, min(NEIGHBOURS, len(known)), metric=faiss.METRIC_INNER_PRODUCT)
        found[part], nearest[part] = places_among(cosines, places[rows]), rows[:, 0]
    return found, nearest
