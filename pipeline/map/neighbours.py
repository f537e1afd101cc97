"""The nearest rows of vectors, and how many of them a map keeps. In: matrices. Out: row numbers and similarities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.index.faiss_library import load_faiss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT_ROWS = 10_000
"""Up to so many rows all pairs are compared; with more, those in the nearest lists of an inverted file."""
LISTS_A_SIDE = 1.0
PROBED = 0.06
BLOCK = 2048
JUDGED = 1000
KEPT_OF = 10

Ticks = Callable[[int, int], None]


def nearest_rows(
    vectors: NDArray[np.float32], k: int, *, seed: int, tick: Ticks
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of each row the `k` most similar others and their cosine, each of shape (rows, k), best first."""
    import numpy as np  # noqa: PLC0415 - heavy

    faiss = load_faiss()
    count, dimension = vectors.shape
    if count <= EXACT_ROWS:
        index = faiss.IndexFlatIP(dimension)
    else:
        lists = int(np.sqrt(count) * LISTS_A_SIDE)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = seed + 1, 10, 64
        index.nprobe = max(8, int(lists * PROBED))
        index.train(vectors)
    index.add(vectors)
    rows, scores = np.empty((count, k), np.int64), np.empty((count, k), np.float32)
    for start in range(0, count, BLOCK):
        end = min(start + BLOCK, count)
        found_scores, found = index.search(vectors[start:end], k + 1)
        rows[start:end], scores[start:end] = _without_self(found, found_scores, start)
        tick(end, count)
    return rows, scores


def _without_self(
    found: NDArray[np.int64], scores: NDArray[np.float32], start: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Drops each row's own number, or the last one where equal rows have pushed it out.

    Where too few were found, the row stands for its missing neighbours.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    own = found == np.arange(start, start + len(found))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(found), found.shape[1] - 1)
    rows, scores = found[~own].reshape(shape), scores[~own].reshape(shape)
    missing = rows < 0
    own_rows = np.broadcast_to(np.arange(start, start + len(found))[:, None], shape)
    return np.where(missing, own_rows, rows), np.where(missing, np.float32(1), scores)


def share_kept(vectors: NDArray[np.float32], places: NDArray[np.float32], *, seed: int) -> float | None:
    """The share of the ten nearest passages that are among the ten nearest points, over some passages.

    The measure "KNN" of Kobak and Berens, The art of using t-SNE for single-cell transcriptomics, Nature
    Communications 2019. None where there are too few points for it to say anything.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    count = len(vectors)
    if count <= 2 * KEPT_OF:
        return None
    faiss = load_faiss()
    chosen = np.random.default_rng(seed).choice(count, min(JUDGED, count), replace=False)
    _, near = faiss.knn(vectors[chosen], vectors, KEPT_OF + 1, metric=faiss.METRIC_INNER_PRODUCT)
    drawn = np.ascontiguousarray(places, np.float32)
    _, beside = faiss.knn(drawn[chosen], drawn, KEPT_OF + 1)
    shares = [
        len((set(one) & set(other)) - {own}) / KEPT_OF
        for own, one, other in zip(chosen.tolist(), near.tolist(), beside.tolist(), strict=True)
    ]
    return float(np.mean(np.minimum(shares, 1.0)))
