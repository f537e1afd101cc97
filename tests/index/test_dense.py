"""Dense search over collections on disk, exact and with indexes."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import BadVector, DimensionMismatch, UsageError
from pipeline.index import IndexFacts, build_index, search_dense
from pipeline.store import Snapshot
from tests import make
from tests.index.oracle import Mask, Matrix, brute_force, clustered_rows, collection, places

DIMENSION = 16
SEGMENTS = [make.unit_rows(100, DIMENSION, seed=1), make.unit_rows(1, DIMENSION, seed=2), make.unit_rows(60, DIMENSION)]
DEAD = [(0, row) for row in range(0, 100, 3)] + [(1, 0)]
LIVE: list[Mask | None] = [np.arange(100) % 3 != 0, np.array([False]), np.ones(60, np.bool_)]
QUERIES = make.unit_rows(4, DIMENSION, seed=9999)

INDEXED_ROWS = 20_000
INDEXED_DIMENSION = 256


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Three segments, one of them a single dead row; every third row of the first one is dead."""
    return collection(tmp_path, SEGMENTS, dead=DEAD)


@pytest.mark.parametrize("k", [1, 10, 126, 127, 1000])
def test_search_agrees_with_brute_force(snapshot: Snapshot, k: int) -> None:
    """The k best live rows, in order, with their cosine similarities; all of them where k is larger."""
    found = search_dense(snapshot, QUERIES, k)
    assert [places(hits) for hits in found] == [brute_force(SEGMENTS, query, k, LIVE) for query in QUERIES]
    for query, hits in zip(QUERIES, found, strict=True):
        exact = [float(SEGMENTS[hit.segment][hit.row].astype(np.float64) @ query.astype(np.float64)) for hit in hits]
        np.testing.assert_allclose([hit.score for hit in hits], exact, atol=1e-12)


def test_one_query_and_many_give_the_same(snapshot: Snapshot) -> None:
    """The same rows with the same scores, to the last bit."""
    assert search_dense(snapshot, QUERIES, 20) == [search_dense(snapshot, QUERIES[[at]], 20)[0] for at in range(4)]


def test_no_query_gives_no_hits(snapshot: Snapshot) -> None:
    """An empty batch is answered with an empty list."""
    assert search_dense(snapshot, np.empty((0, DIMENSION), np.float32), 3) == []


@pytest.mark.parametrize("share", [0.0, 0.03, 0.3, 0.9])
def test_what_is_not_allowed_does_not_crowd_out_what_is(snapshot: Snapshot, share: float) -> None:
    """With a mask for some segments, k allowed and live rows come back if there are k."""
    random = np.random.default_rng(5)
    masks: list[Mask | None] = [random.random(100) < share, None, random.random(60) < share]
    both = [live if mask is None else live & mask for live, mask in zip(LIVE, masks, strict=True) if live is not None]
    found = search_dense(snapshot, QUERIES, 10, allowed=masks)
    assert [places(hits) for hits in found] == [brute_force(SEGMENTS, query, 10, both) for query in QUERIES]


def test_masks_that_fit_no_segment_are_refused(snapshot: Snapshot) -> None:
    """A mask of another length, or one too few, is a mistake of the caller."""
    with pytest.raises(ValueError, match=r"segment 00000003 has shape \(2,\), not \(1,\)"):
        search_dense(snapshot, QUERIES, 3, allowed=[None, np.ones(2, np.bool_), None])
    with pytest.raises(ValueError, match="shorter"):
        search_dense(snapshot, QUERIES, 3, allowed=[None, None])


def test_an_empty_collection_has_no_hits(tmp_path: Path) -> None:
    """A segment without rows, as a run that only retires documents leaves, is searched like any other."""
    snapshot = collection(tmp_path, [make.unit_rows(1, DIMENSION)], dead=[(0, 0)])
    assert search_dense(snapshot, QUERIES, 5) == [[], [], [], []]


def test_a_query_of_another_dimension_is_refused(snapshot: Snapshot) -> None:
    """It names model, expected and actual, also where rows and columns are missing."""
    with pytest.raises(DimensionMismatch, match="'all-minilm' gives 16 dimensions, this has 8"):
        search_dense(snapshot, make.unit_rows(1, 8), 3)
    with pytest.raises(DimensionMismatch):
        search_dense(snapshot, QUERIES[0], 3)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_is_refused(snapshot: Snapshot, number: float) -> None:
    """NaN would compare with nothing and find nothing."""
    queries = QUERIES.copy()
    queries[2, 5] = number
    with pytest.raises(BadVector, match="'notes': the vector holds NaN or an infinity"):
        search_dense(snapshot, queries, 3)


def test_k_must_be_positive(snapshot: Snapshot) -> None:
    """No hits cannot be asked for."""
    with pytest.raises(UsageError, match="k must be at least 1, not 0"):
        search_dense(snapshot, QUERIES, 0)


@pytest.fixture(scope="module")
def indexed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Snapshot, list[Matrix], dict[str, tuple[Path, IndexFacts]]]:
    """Two segments with an index and a small one without; a few rows of the first one are dead."""
    home = tmp_path_factory.mktemp("indexed")
    segments = [clustered_rows(size, INDEXED_DIMENSION, seed=size) for size in (INDEXED_ROWS, 50, INDEXED_ROWS - 1)]
    snapshot = collection(home, segments, each=10, dead=[(0, row) for row in range(0, 900, 30)])
    files: dict[str, tuple[Path, IndexFacts]] = {}
    for number in (0, 2):
        path = home / f"{number}.faiss"
        files[snapshot.segments[number].id] = (path, build_index(snapshot.segments[number].passing_vectors, path))
    assert all(facts.usable for _, facts in files.values())
    return snapshot, segments, files


Indexed = tuple[Snapshot, list[Matrix], Mapping[str, tuple[Path, IndexFacts]]]


def recall(
    snapshot: Snapshot, queries: Matrix, files: Mapping[str, tuple[Path, IndexFacts]], masks: list[Mask | None] | None
) -> float:
    """The share of the true ten best that are found with indexes; scores and order are checked to be exact."""
    truth = search_dense(snapshot, queries, 10, allowed=masks)
    found = search_dense(snapshot, queries, 10, allowed=masks, index_files=files)
    shares: list[float] = []
    for true, hits in zip(truth, found, strict=True):
        assert len(hits) == len(true)
        assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.segment, hit.row))
        known = {(hit.segment, hit.row): hit.score for hit in true}
        common = [hit for hit in hits if (hit.segment, hit.row) in known]
        assert all(known[hit.segment, hit.row] == hit.score for hit in common)
        shares.append(len(common) / max(1, len(true)))
    return float(np.mean(shares))


@pytest.mark.parametrize("share", [None, 0.9, 0.5, 0.1, 0.01, 0.0005])
def test_indexes_find_what_a_scan_finds(indexed: Indexed, share: float | None) -> None:
    """Recall of the ten best is what was asked for, with any filter, and dead rows never come back."""
    snapshot, segments, files = indexed
    random = np.random.default_rng(7)
    masks: list[Mask | None] | None = None
    if share is not None:
        masks = [random.random(len(matrix)) < share for matrix in segments]
    queries = clustered_rows(100, INDEXED_DIMENSION, seed=77)
    assert recall(snapshot, queries, files, masks) >= 0.998
    for hits in search_dense(snapshot, queries, 10, allowed=masks, index_files=files):
        assert all(snapshot.segments[hit.segment].live_mask[hit.row] for hit in hits)
        if masks is not None:
            assert all(mask[hit.row] for hit in hits if (mask := masks[hit.segment]) is not None)


def test_the_index_is_used(indexed: Indexed, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an index, only the segment without one is scanned."""
    import pipeline.index.dense as dense

    snapshot, _, files = indexed
    scanned: list[int] = []
    real = dense.scan
    monkeypatch.setattr(
        dense, "scan", lambda ranking, parts: (scanned.extend(part.number for part in parts), real(ranking, parts))
    )
    query = clustered_rows(1, INDEXED_DIMENSION, seed=78)
    search_dense(snapshot, query, 10, index_files=files)
    assert scanned == [1]


def test_a_large_k_finds_as_many(indexed: Indexed) -> None:
    """For more hits more candidates are re-scored; for very many, all rows are."""
    snapshot, _, files = indexed
    queries = clustered_rows(20, INDEXED_DIMENSION, seed=79)
    for k in (1, 30, 100, 5000, 20_000):
        truth, found = search_dense(snapshot, queries, k), search_dense(snapshot, queries, k, index_files=files)
        assert [len(hits) for hits in found] == [len(hits) for hits in truth]
        shares = [len(set(places(a)) & set(places(b))) / len(a) for a, b in zip(truth, found, strict=True)]
        assert np.mean(shares) >= 0.99


@pytest.mark.parametrize("cores", [1, 3])
def test_searching_twice_gives_the_same(indexed: Indexed, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """One by one or together, with an index too, shared out among cores or not, with a filter or without."""
    monkeypatch.setattr("pipeline.index.dense.WORTH_THREADS", 0)
    monkeypatch.setattr("pipeline.index.threads.available_cores", lambda: cores)
    snapshot, segments, files = indexed
    queries = clustered_rows(26, INDEXED_DIMENSION, seed=80)
    masks = [np.random.default_rng(8).random(len(matrix)) < 0.3 for matrix in segments]
    for allowed in (None, masks):
        together = search_dense(snapshot, queries, 10, allowed=allowed, index_files=files)
        assert together == search_dense(snapshot, queries, 10, allowed=allowed, index_files=files)
        single = [search_dense(snapshot, query[None], 10, allowed=allowed, index_files=files)[0] for query in queries]
        assert together == single


def test_a_damaged_index_is_named_and_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The search is exact then, and says once which file is damaged and what to do."""
    rows = clustered_rows(3000, 256, seed=1)
    snapshot = collection(tmp_path, [rows], each=100)
    path = tmp_path / "index.faiss"
    facts = build_index(snapshot.segments[0].passing_vectors, path)
    path.write_bytes(path.read_bytes()[:-1])
    query = clustered_rows(1, 256, seed=2)
    files = {snapshot.segments[0].id: (path, facts)}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = search_dense(snapshot, query, 5, index_files=files)[0]
            assert places(found) == brute_force([rows], query[0], 5)
    assert [record.getMessage() for record in caplog.records] == [
        f"the index {path} is not the file that was written; searching without it, which is slower. "
        "build it again: pipeline collections optimize"
    ]
