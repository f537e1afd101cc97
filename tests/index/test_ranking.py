"""Exact scans against brute force: properties of the ranking over matrices in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.index import scan as scan_module
from pipeline.index.ranking import PENDING, Ranking
from pipeline.index.scan import Part, scan
from tests import make
from tests.index.oracle import Mask, Matrix, brute_force, places


def search(segments: list[Matrix], queries: Matrix, k: int, allowed: list[Mask | None]) -> list[list[tuple[int, int]]]:
    ranking = Ranking(queries, k)
    pairs = zip(segments, allowed, strict=True)
    scan(ranking, [Part(number, matrix, mask) for number, (matrix, mask) in enumerate(pairs)])
    return [places(hits) for hits in ranking.hits()]


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[Matrix], Matrix, int, list[Mask | None]]:
    """Segments, queries, k and masks. Few distinct numbers, so that many scores are equal, and all sums are exact."""
    dimension = draw(st.integers(1, 9))
    number = st.integers(-4, 4).map(lambda quarters: quarters / 4)
    row = st.lists(number, min_size=dimension, max_size=dimension)
    sizes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=3))
    segments = [
        np.array(draw(st.lists(row, min_size=size, max_size=size)), np.float32).reshape(size, dimension)
        for size in sizes
    ]
    queries = np.array(draw(st.lists(row, min_size=1, max_size=4)), np.float32)
    masks: list[Mask | None] = [
        draw(
            st.none() | st.lists(st.booleans(), min_size=size, max_size=size).map(lambda mask: np.array(mask, np.bool_))
        )
        for size in sizes
    ]
    return segments, queries, draw(st.integers(1, 60)), masks


@settings(max_examples=300, deadline=None)
@given(searches())
def test_a_scan_is_brute_force(case: tuple[list[Matrix], Matrix, int, list[Mask | None]]) -> None:
    """Whatever the vectors, masks and k: the same rows in the same order, ties by place."""
    segments, queries, k, allowed = case
    assert search(segments, queries, k, allowed) == [brute_force(segments, query, k, allowed) for query in queries]


@pytest.mark.parametrize("dimension", [1, 2, 7, 64, 384])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.02, 0.0])
def test_masks_of_any_density_let_the_best_through(dimension: int, share: float) -> None:
    """Whether allowed rows are gathered or the others are struck out, k of them come back if there are k."""
    rows, queries = make.unit_rows(500, dimension, seed=1), make.unit_rows(3, dimension, seed=2)
    mask = np.random.default_rng(3).random(500) < share
    expected = [brute_force([rows], query, 7, [mask]) for query in queries]
    assert search([rows], queries, 7, [mask]) == expected
    assert [search([rows], query[None, :], 7, [mask])[0] for query in queries] == expected


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block ends changes nothing, for one query and for several."""
    rows, queries = make.unit_rows(1000, 12, seed=4), make.unit_rows(5, 12, seed=5)
    expected = [brute_force([rows], query, 20) for query in queries]
    monkeypatch.setattr(scan_module, "WORTH_THREADS", 100)
    for size in (1, 3, 999, 1000, 1001):
        monkeypatch.setattr(scan_module, "SINGLE_BLOCK", size)
        monkeypatch.setattr(scan_module, "BATCH_BLOCK", size)
        assert search([rows], queries, 20, [None]) == expected
        assert search([rows], queries[:1], 20, [None]) == expected[:1]


def test_a_score_is_the_same_wherever_the_vector_stands() -> None:
    """Copies of a vector tie exactly, in any row of any segment, and rank by place."""
    vector, query = make.unit_rows(2, 385, seed=6)
    others = make.unit_rows(300, 385, seed=7)
    rows = np.concatenate([others[:101], vector[None], others[101:], vector[None], vector[None]])
    ranking = Ranking(query[None], 400)
    scan(ranking, [Part(0, rows, None), Part(1, rows[101:], None)])
    copies = [hit for hit in ranking.hits()[0] if np.array_equal((rows, rows[101:])[hit.segment][hit.row], vector)]
    assert places(copies) == [(0, 101), (0, 301), (0, 302), (1, 0), (1, 200), (1, 201)]
    assert len({hit.score for hit in copies}) == 1


def test_more_ties_than_are_held_at_a_time() -> None:
    """A segment of nothing but copies gives its first k rows, and holds no more than it may."""
    rows = np.repeat(make.unit_rows(1, 24, seed=8), 20 * PENDING, axis=0)
    queries = make.unit_rows(2, 24, seed=9)
    assert search([rows], queries, 5, [None]) == [[(0, row) for row in range(5)]] * 2


def test_scores_that_float32_cannot_tell_apart() -> None:
    """Rows whose scores differ by less than float32 shows are ranked by what they are."""
    query = np.zeros((1, 300), np.float32)
    query[0, :2] = (1, 2**-13)
    rows = np.zeros((200, 300), np.float32)
    rows[:, 0] = 0.75
    rows[:, 1] = np.random.default_rng(10).permutation(200) * np.float32(2**-18)
    assert len(set((rows @ query[0]).tolist())) < 100
    assert search([rows], query, 30, [None]) == [brute_force([rows], query[0], 30)]
