"""The approximate index: what is built, measured, written and refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorruptCollection, StorageUnwritable
from pipeline.index import ApproximateIndex, IndexFacts
from tests import make
from tests.index.oracle import Matrix, clustered_rows, index_of

ROWS = 5000
DIMENSION = 64


@pytest.fixture(scope="module")
def rows() -> Matrix:
    return clustered_rows(ROWS, DIMENSION, seed=1)


@pytest.fixture
def built(rows: Matrix, tmp_path: Path) -> tuple[Path, IndexFacts]:
    path = tmp_path / "index.faiss"
    return path, index_of(rows, tmp_path, path)


def opened(built: tuple[Path, IndexFacts]) -> ApproximateIndex:
    return ApproximateIndex.open(*built, rows=ROWS, dimension=DIMENSION)


def test_facts_survive_json(built: tuple[Path, IndexFacts]) -> None:
    """They go into the manifest and come back the same; they say what the file is and how good it is."""
    _, facts = built
    assert IndexFacts(**json.loads(json.dumps(dataclasses.asdict(facts)))) == facts
    assert (facts.rows, facts.dimension, facts.sampled, facts.goal) == (ROWS, DIMENSION, 100, 0.998)
    assert facts.usable
    assert facts.recall >= 0.998


def test_the_number_of_candidates_does_for_other_queries(rows: Matrix, built: tuple[Path, IndexFacts]) -> None:
    """With so many, queries that are no rows find their neighbours too; with an eighth of them they do not."""
    _, facts = built
    queries = clustered_rows(60, DIMENSION, seed=2)
    truth = np.argsort(-(queries @ rows.T), axis=1)[:, :10]

    def recall(count: int) -> float:
        _, found = opened(built).candidates(queries, count)
        return float(np.mean([np.isin(best, seen).mean() for best, seen in zip(truth, found, strict=True)]))

    assert recall(facts.candidates) >= 0.998
    assert recall(facts.candidates // 8) < 0.99


def test_vectors_without_structure_are_not_searched_by_the_index(tmp_path: Path) -> None:
    """Where even the most candidates miss too many, the facts say so."""
    facts = index_of(make.unit_rows(30_000, 256, seed=3), tmp_path, tmp_path / "index.faiss")
    assert facts.candidates == 2000
    assert facts.recall < 0.998
    assert not facts.usable


@pytest.mark.parametrize("count", [1, 2, 31, 33])
def test_few_rows_can_be_indexed(tmp_path: Path, count: int) -> None:
    """Fewer rows than a block of the index: every one of them is a candidate, and nothing else is."""
    rows = make.unit_rows(count, DIMENSION, seed=4)
    path = tmp_path / "index.faiss"
    facts = index_of(rows, tmp_path, path)
    assert facts.usable
    _, found = ApproximateIndex.open(path, facts, rows=count, dimension=DIMENSION).candidates(rows[:1], 40)
    assert sorted(found[0].tolist()) == [-1] * (40 - count) + list(range(count))


def test_no_rows_cannot_be_indexed(tmp_path: Path) -> None:
    """There is nothing to find."""
    with pytest.raises(ValueError, match="there is nothing to index"):
        index_of(np.empty((0, DIMENSION), np.float32), tmp_path, tmp_path / "index.faiss")


@pytest.mark.parametrize("dimension", [1, 3, 5, 100, 385])
def test_odd_dimensions_can_be_indexed(tmp_path: Path, dimension: int) -> None:
    """Dimensions that fill no whole byte or block of the index work like others."""
    rows = make.unit_rows(300, dimension, seed=5)
    path = tmp_path / "index.faiss"
    index = ApproximateIndex.open(path, index_of(rows, tmp_path, path), rows=300, dimension=dimension)
    _, found = index.candidates(rows[:5], 300)
    assert all(sorted(row.tolist()) == list(range(300)) for row in found)


def test_building_twice_gives_the_same_file(rows: Matrix, built: tuple[Path, IndexFacts], tmp_path: Path) -> None:
    """The index is a function of the vectors."""
    assert index_of(rows, tmp_path, tmp_path / "again.faiss") == built[1]
    assert (tmp_path / "again.faiss").read_bytes() == built[0].read_bytes()


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.001])
def test_candidates_are_allowed_rows_only(rows: Matrix, built: tuple[Path, IndexFacts], share: float) -> None:
    """As many of them as there are, whatever is forbidden lies nearer."""
    allowed = np.random.default_rng(6).random(ROWS) < share
    _, found = opened(built).candidates(rows[:7], 200, allowed)
    for own in found:
        seen = own[own >= 0]
        assert allowed[seen].all()
        assert len(np.unique(seen)) == len(seen) == min(200, np.count_nonzero(allowed))


def test_a_cut_index_is_refused(built: tuple[Path, IndexFacts]) -> None:
    """A file that ends early, down to nothing, is named as damaged."""
    content = built[0].read_bytes()
    for size in (len(content) - 1, len(content) // 2, 1, 0):
        built[0].write_bytes(content[:size])
        with pytest.raises(CorruptCollection, match=r"index\.faiss"):
            opened(built)


def test_a_flipped_bit_is_noticed(built: tuple[Path, IndexFacts]) -> None:
    """Anywhere in the file: header, codes, row numbers."""
    content = built[0].read_bytes()
    for at in np.linspace(0, len(content) - 1, 25).astype(int).tolist():
        altered = bytearray(content)
        altered[at] ^= 1
        built[0].write_bytes(altered)
        with pytest.raises(CorruptCollection, match="is not the file that was written") as caught:
            opened(built)
        assert caught.value.hint == "build it again: pipeline collections optimize"


def test_the_index_of_another_segment_is_refused(built: tuple[Path, IndexFacts], tmp_path: Path) -> None:
    """Also one of as many rows of the same dimension."""
    other = index_of(clustered_rows(ROWS, DIMENSION, seed=9), tmp_path, built[0])
    with pytest.raises(CorruptCollection, match="is not the file that was written"):
        opened(built)
    assert opened((built[0], other)).facts == other


def test_facts_of_another_segment_are_refused(built: tuple[Path, IndexFacts]) -> None:
    """Rows, dimension, kind and format must be those that are asked for and known."""
    path, facts = built
    with pytest.raises(CorruptCollection, match="of 5000 x 64"):
        ApproximateIndex.open(path, facts, rows=ROWS - 1, dimension=DIMENSION)
    for change in ({"dimension": 65}, {"kind": "hnsw"}, {"format": 2}):
        with pytest.raises(CorruptCollection, match="is recorded as"):
            opened((path, dataclasses.replace(facts, **change)))


def test_a_missing_index_is_refused(built: tuple[Path, IndexFacts]) -> None:
    """As is one that cannot be read."""
    built[0].unlink()
    with pytest.raises(CorruptCollection, match="cannot be read"):
        opened(built)


def test_a_folder_that_cannot_be_written_is_named(rows: Matrix, tmp_path: Path) -> None:
    """The error is that of storage, with what to do."""
    with pytest.raises(StorageUnwritable, match=r"cannot write .*index\.faiss: No such file") as caught:
        index_of(rows[:100], tmp_path, tmp_path / "missing" / "index.faiss")
    assert caught.value.hint


def test_a_full_disk_is_named(rows: Matrix, tmp_path: Path) -> None:
    """Running out of space while the file is written is StorageUnwritable, not an error of FAISS."""
    with pytest.raises(StorageUnwritable, match="No space left on device"):
        index_of(rows, tmp_path, Path("/dev/full"))
