"""How dense and lexical scores become one: worked by hand."""

import numpy as np
import pytest

from pipeline.query.fusion import Background, fused, shares, smoothed

AXES = np.eye(4, dtype=np.float32)


def test_cosines_are_counted_in_deviations() -> None:
    """Mean 0.3 and variance 0.04 over 90 rows, drawn towards 0.01 as if ten more had been seen."""
    usual = Background.of(np.array([0.1, 0.5] * 45, np.float32))
    deviation = ((90 * 0.04 + 10 * 0.01) / 100) ** 0.5
    found = usual.deviations(np.array([0.3, 0.5], np.float32))
    assert found == pytest.approx([0.0, 0.2 / deviation], abs=1e-5)


def test_fused_score_is_a_sum() -> None:
    """Deviations and fifteen times the share of the query's words; no words, no share."""
    part = shares(np.array([0.0, 4.0], np.float32), 8.0)
    assert fused(np.array([2.0, 1.0], np.float32), part).tolist() == [2.0, 8.5]
    assert shares(np.array([0.0], np.float32), 0.0).tolist() == [0.0]


def test_row_is_drawn_towards_those_most_like_it() -> None:
    """Two groups of seven, in each of which one stands alone: five neighbours have three tenths of a say."""
    vectors = np.repeat(AXES[:2], 7, axis=0)
    scores = np.array([9, *[5] * 6, 9, *[1] * 6], np.float32)
    drawn, neighbours = smoothed(scores, vectors)
    assert neighbours[0] == pytest.approx(5)
    assert neighbours[7] == pytest.approx(1)
    assert drawn[0] == pytest.approx(0.7 * 9 + 0.3 * 5)
    assert drawn[7] == pytest.approx(0.7 * 9 + 0.3 * 1)


@pytest.mark.parametrize("scores", [[], [3.0], [3.0, 1.0]], ids=["none", "one", "two"])
def test_few_rows_keep_their_order(scores: list[float]) -> None:
    """One row alone has its own score, two have each other's."""
    given = np.array(scores, np.float32)
    drawn, neighbours = smoothed(given, AXES[: len(scores)])
    assert neighbours.tolist() == (scores[::-1] if len(scores) == 2 else scores)
    assert drawn.tolist() == pytest.approx((0.7 * given + 0.3 * neighbours).tolist())
    assert np.argsort(-drawn).tolist() == list(range(len(scores)))
