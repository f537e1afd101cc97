"""Vectors that are read, not mapped: the same rows, however they are asked for."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorruptCollection
from pipeline.store import PassingVectors
from tests import make

ROWS, DIMENSION, OFFSET = 1000, 24, 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with vectors that start somewhere in it, and something after them."""
    path = tmp_path / "vectors"
    path.write_bytes(b"-" * OFFSET + make.unit_rows(ROWS, DIMENSION).tobytes() + b"-" * 8)
    return path


@pytest.fixture
def vectors(path: Path) -> PassingVectors:
    return PassingVectors(path, OFFSET, (ROWS, DIMENSION))


@pytest.mark.parametrize("size", [1, 7, 250, 999, 1000, 4096])
def test_blocks_are_all_rows_in_order(vectors: PassingVectors, size: int) -> None:
    """As many at a time as were asked for, the last ones aside."""
    blocks = [block.copy() for block in vectors.blocks(size)]
    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert np.array_equal(np.concatenate(blocks), make.unit_rows(ROWS, DIMENSION))


def test_no_rows_have_no_blocks(path: Path) -> None:
    """There is nothing to go through."""
    assert list(PassingVectors(path, OFFSET, (0, DIMENSION)).blocks(10)) == []


def test_rows_are_had_by_number_and_by_slice(vectors: PassingVectors) -> None:
    """In the order in which they are asked for, as from an array."""
    rows, numbers = make.unit_rows(ROWS, DIMENSION), np.array([5, 6, 7, 999, 0, 5])
    assert np.array_equal(vectors[numbers], rows[numbers])
    assert np.array_equal(vectors[10:30:3], rows[10:30:3])


def test_a_file_that_ends_early_is_damaged(path: Path, vectors: PassingVectors) -> None:
    """Nothing is made up for the rows that are missing."""
    path.write_bytes(path.read_bytes()[: OFFSET + 500 * DIMENSION * 4 + 3])
    with pytest.raises(CorruptCollection, match="it ends before its last row"):
        list(vectors.blocks(64))
    with pytest.raises(CorruptCollection, match="it ends before its last row"):
        vectors[np.array([500])]
