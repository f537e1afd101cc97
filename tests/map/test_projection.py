"""Projection: neighbours stay neighbours, the same every time, and anything that has passages can be drawn."""

import shutil

import numpy as np
import pytest

from pipeline.collection import Collection
from pipeline.errors import UsageError
from pipeline.map import CollectionMap, MapSettings, make_map
from pipeline.map import make as making
from pipeline.map import project as projecting
from pipeline.map.neighbours import nearest_rows, share_kept
from pipeline.map.project import PCA, TSNE, main_axes
from pipeline.map.sample import Sample
from tests.clustered import Add, around, groups
from tests.make import unit_rows

KEPT = 0.6
"""Six of ten true neighbours are among the ten nearest points; two axes of the same vectors keep far fewer (0.72 and 0.35
were measured)."""


def test_real_neighbourhoods_are_kept(drawn: CollectionMap) -> None:
    """The projection keeps most neighbours of real passages; their two main axes, the cheap way, do not."""
    vectors = drawn.sample.vectors(np.arange(len(drawn.sample)))
    assert drawn.facts.method == TSNE
    kept = share_kept(vectors, drawn.places, seed=1)
    by_axes = share_kept(vectors, main_axes(vectors), seed=1)
    assert kept is not None and by_axes is not None
    assert kept > KEPT > by_axes + 0.15


def test_share_kept_is_what_it_says() -> None:
    """All neighbours are kept by places that are the vectors' own, hardly any by places drawn at random."""
    angles = np.sort(np.random.default_rng(0).uniform(0, 1, 200))
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert share_kept(circle, circle, seed=0) == pytest.approx(1.0, abs=0.01)
    random = np.random.default_rng(1).standard_normal((200, 2)).astype(np.float32)
    assert (share_kept(circle, random, seed=0) or 0) < 0.15


def test_groups_stay_apart(add: Add) -> None:
    """Passages of one thing lie nearer to each other than to those of any other."""
    made = make_map(add(groups([30, 30, 30, 30])))
    owner = np.repeat(np.arange(4), 30)
    middles = np.stack([made.places[owner == group].mean(axis=0) for group in range(4)])
    nearest = np.linalg.norm(made.places[:, None] - middles[None], axis=2).argmin(axis=1)
    assert (nearest == owner).all()


def test_same_seed_same_map(corpus: Collection, drawn: CollectionMap) -> None:
    """Made anew, a map is the same to the last bit."""
    places = drawn.places.copy()
    shutil.rmtree(drawn.snapshot.layout.root / "map")
    again = make_map(corpus.snapshot)
    assert (again.places == places).all()
    assert again.facts == drawn.facts


@pytest.mark.parametrize("count", [1, 2, 3, 11, 13])
def test_few_passages(add: Add, count: int) -> None:
    """A map of a few passages has a place for each, all of them numbers, and different ones for different passages."""
    made = make_map(add(groups([count])))
    assert made.places.shape == (count, 2)
    assert np.isfinite(made.places).all()
    assert len(np.unique(made.places, axis=0)) == count


def test_passages_that_say_the_same_share_a_place(add: Add) -> None:
    """Fifty times the same text is one place; those of other texts are elsewhere."""
    same = np.repeat(around(0, 1, seed=1), 50, axis=0)
    made = make_map(add([("/a.md", ["again"] * 50, same), *groups([20], name="other")]))
    assert len(np.unique(made.places[:50], axis=0)) == 1
    assert not (made.places[50:] == made.places[0]).all(axis=1).any()


def test_equal_vectors_of_different_texts(add: Add) -> None:
    """Texts that differ and vectors that do not are no reason to fail."""
    same = np.repeat(around(0, 1, seed=1), 40, axis=0)
    made = make_map(add([("/a.md", [f"text {at}" for at in range(40)], same)]))
    assert np.isfinite(made.places).all()


def test_empty_collection(add: Add) -> None:
    """Where there are no passages, the error says what to do."""
    with pytest.raises(UsageError, match="no passages to draw") as error:
        make_map(add([("/a.md", [], np.empty((0, 16), np.float32))]))
    assert "pipeline index" in error.value.hint


def test_without_the_extra(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the projection library two axes are drawn, which is said; with it again, the map is made anew."""
    snapshot = add(groups([20, 20]))
    for module in (making, projecting):
        monkeypatch.setattr(module, "best_method", lambda: PCA)
    made = make_map(snapshot)
    assert made.facts.method == PCA
    assert "pipeline[map]" in made.notices[0]
    monkeypatch.undo()
    assert make_map(snapshot).facts.method == TSNE


def test_neighbours_of_many_rows() -> None:
    """Beyond the rows that are compared in pairs, most of the true neighbours are found all the same."""
    rows = unit_rows(11_000, 24, seed=3)
    rows[:, :4] *= 4
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found, cosines = nearest_rows(rows, 10, seed=0, tick=lambda _done, _total: None)
    chosen = np.arange(0, 11_000, 110)
    scores = rows[chosen] @ rows.T
    scores[np.arange(len(chosen)), chosen] = -2
    truth = np.argsort(-scores, axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth.tolist(), found[chosen].tolist(), strict=True)])
    assert recall > 0.8
    assert (found != np.arange(len(rows))[:, None]).all()
    assert np.allclose(cosines[chosen, 0], (rows[chosen] * rows[found[chosen, 0]]).sum(axis=1), atol=1e-5)


def test_sample_is_seeded_and_stable(add: Add) -> None:
    """The same seed gives the same sample, another one another, and what is added displaces no more than its number."""
    snapshot = add(groups([60, 60, 60]))
    one, again, other = (set(Sample.of(snapshot, 50, seed).keys.tolist()) for seed in (0, 0, 1))
    assert one == again and len(one) == 50
    assert len(one & other) < 40
    later = set(Sample.of(add(groups([9], name="new")), 50, 0).keys.tolist())
    assert len(one - later) <= 9


def test_sample_is_what_is_drawn(add: Add) -> None:
    """A map of a sample has as many points as asked for, those of the sample."""
    made = make_map(add(groups([60, 60])), MapSettings(sample=40, seed=3))
    assert len(made.places) == len(made.sample) == 40
    assert (made.sample.keys == Sample.of(made.snapshot, 40, 3).keys).all()
