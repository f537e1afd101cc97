"""Bootstrap intervals: they hold what they must, and are the same every time."""

import pytest

from pipeline.evaluate import difference, interval

VALUES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] * 10


def test_interval_is_that_of_the_normal_approximation() -> None:
    """For sixty values the percentile interval is near mean ± 1.96 standard errors, which are known by hand."""
    found = interval(VALUES)
    error = (sum((value - 0.5) ** 2 for value in VALUES) / 60) ** 0.5 / 60**0.5
    assert found.mean == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5 - 1.96 * error, abs=0.01)
    assert found.high == pytest.approx(0.5 + 1.96 * error, abs=0.01)
    assert interval(VALUES) == found


def test_paired_difference_sees_what_the_intervals_hide() -> None:
    """A gain of 0.02 on every query is certain, though both runs vary far more than that."""
    better = [value + 0.02 for value in VALUES]
    found = difference(better, VALUES)
    assert (found.mean, found.low, found.high) == pytest.approx((0.02, 0.02, 0.02))
    assert found.p < 0.01


def test_no_difference_is_not_significant() -> None:
    """The same run twice differs by nothing, and one that wins as often as it loses is no better."""
    same = difference(VALUES, VALUES)
    assert (same.mean, same.p) == (0.0, 1.0)
    swapped = [*VALUES[30:], *VALUES[:30]]
    mixed = difference([value + (0.1 if number % 2 else -0.1) for number, value in enumerate(swapped)], swapped)
    assert mixed.low < 0 < mixed.high
    assert mixed.p > 0.5


def test_runs_over_other_queries_cannot_be_paired() -> None:
    """The number of queries is compared."""
    with pytest.raises(ValueError, match="3 and 2 queries"):
        difference([1, 2, 3], [1, 2])
