"""Vectors -> places on a plane: t-SNE where the extra `map` is installed, else the two main axes.

In: unit vectors. Out: places, float32 of shape (n, 2), near each other where the vectors are; by which method.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.map.neighbours import nearest_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TSNE, PCA = "t-SNE", "PCA"
LEAST_ROWS = 12
"""With fewer passages there are no neighbourhoods to keep; their main axes show as much."""

PERPLEXITY = 30
SPREAD = 1e-6
"""Of unit vectors that differ by more than rounding."""
EARLY_ROUNDS, EARLY_EXAGGERATION = 250, 12
ROUNDS = 500
TICK_ROUNDS = 10
INTERPOLATED_ROWS = 10_000
"""From so many rows on forces are interpolated (FIt-SNE, Linderman and others, Nature Methods 2019) rather than summed
up by a tree (Barnes-Hut, van der Maaten, JMLR 2014), which is quicker for fewer."""

Report = Callable[[str, int, int], None]


def best_method() -> str:
    """The method for collections that are large enough for it."""
    return TSNE if importlib.util.find_spec("openTSNE") else PCA


def project(
    vectors: NDArray[np.float32], *, seed: int, start: NDArray[np.float32] | None, report: Report
) -> tuple[NDArray[np.float32], str, str]:
    """Places, the method, and the library with its version. `start` are former places, to be kept in the large."""
    axes = main_axes(vectors)
    if len(vectors) < LEAST_ROWS or best_method() == PCA:
        return axes, PCA, "numpy"
    return _by_tsne(vectors, axes if start is None else start, seed, report)


def main_axes(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The two principal components of the vectors, signs chosen so that they are the same every time."""
    import numpy as np  # noqa: PLC0415 - heavy

    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    chosen = directions[:, ::-1][:, :2]
    largest = np.abs(chosen).argmax(axis=0)
    chosen = chosen * np.sign(chosen[largest, np.arange(chosen.shape[1])])
    places = np.zeros((len(vectors), 2), np.float32)
    places[:, : chosen.shape[1]] = centred @ chosen.astype(np.float32)
    return places


def _by_tsne(
    vectors: NDArray[np.float32], start: NDArray[np.float32], seed: int, report: Report
) -> tuple[NDArray[np.float32], str, str]:
    """t-SNE (van der Maaten and Hinton, JMLR 2008) from the main axes (Kobak and Berens, 2019)."""
    import numpy as np  # noqa: PLC0415 - heavy
    import openTSNE  # noqa: PLC0415 - heavy
    from openTSNE import affinity, initialization, nearest_neighbors  # noqa: PLC0415 - heavy

    if start[:, 0].std() < SPREAD:
        # Where all vectors are the same, their places are drawn by lot.
        start = np.random.default_rng(seed).standard_normal(start.shape).astype(np.float32)
    perplexity = min(PERPLEXITY, (len(vectors) - 1) // 3)
    rows, cosines = nearest_rows(
        vectors, 3 * perplexity, seed=seed, tick=lambda done, total: report("neighbours", done, total)
    )
    distances = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    known = nearest_neighbors.PrecomputedNeighbors(rows, distances)
    affinities = affinity.PerplexityBasedNN(perplexity=perplexity, knn_index=known, random_state=seed)
    embedding = openTSNE.TSNEEmbedding(
        initialization.rescale(start.astype(np.float64)),
        affinities,
        negative_gradient_method="bh" if len(vectors) < INTERPOLATED_ROWS else "fft",
        random_state=seed,
    )
    total, done = EARLY_ROUNDS + ROUNDS, 0

    def tick(iteration: int, _error: float, _embedding: object) -> bool:
        report("projecting", done + iteration, total)
        return False

    for rounds, exaggeration, momentum in ((EARLY_ROUNDS, EARLY_EXAGGERATION, 0.5), (ROUNDS, None, 0.8)):
        embedding.optimize(
            rounds,
            exaggeration=exaggeration,
            momentum=momentum,
            inplace=True,
            callbacks=tick,
            callbacks_every_iters=TICK_ROUNDS,
        )
        done += rounds
    return np.asarray(embedding, np.float32), TSNE, f"openTSNE {openTSNE.__version__}"
