"""How sure a mean is, and a difference of two: bootstrap over the queries (Efron 1979; Sakai 2006 for retrieval).

In: a measure by query, for one run or for two over the same queries. Out: 95 % intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 5_000
SEED = 20260101
"""Fixed, so that the same run gives the same interval."""

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with the bounds that hold 95 % of the means of resampled queries."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Interval):
    """Of two runs, query by query. `p` is the two-sided chance of a difference so large if there were none."""

    p: float


def interval(values: Sequence[float]) -> Interval:
    """The mean of a measure over the queries, of which there is at least one."""
    import numpy as np  # noqa: PLC0415 - heavy

    means = _resampled_means(np.asarray(values))
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(mean=float(np.mean(values)), low=float(low), high=float(high))


def difference(values: Sequence[float], others: Sequence[float]) -> Difference:
    """By how much `values` are above `others`, paired by query. Raises ValueError unless they are as many."""
    import numpy as np  # noqa: PLC0415 - heavy

    if len(values) != len(others):
        raise ValueError(f"{len(values)} and {len(others)} queries cannot be paired")
    gaps = np.asarray(values) - np.asarray(others)
    observed = float(gaps.mean())
    means = _resampled_means(gaps)
    low, high = np.percentile(means, [2.5, 97.5])
    # Shifted to a mean of zero, resampled means are what chance alone gives.
    extreme = int(np.count_nonzero(np.abs(means - observed) >= abs(observed) - 1e-12))
    return Difference(mean=observed, low=float(low), high=float(high), p=(extreme + 1) / (RESAMPLES + 1))


def _resampled_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of RESAMPLES drawings with replacement, a batch at a time so that memory stays small."""
    import numpy as np  # noqa: PLC0415 - heavy

    random = np.random.default_rng(SEED)
    batches = [
        values[random.integers(0, len(values), size=(BATCH, len(values)))].mean(axis=1)
        for _ in range(RESAMPLES // BATCH)
    ]
    return np.concatenate(batches)
