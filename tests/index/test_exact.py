"""Exact search against brute force."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DimensionMismatch
from pipeline.index import search_exact
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, Snapshot
from tests import make

DIMENSION = 16


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Two segments of 50 documents with 2 chunks each; every third document of the first one is retired."""
    layout = Layout.of(tmp_path, "notes")
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        for part in range(2):
            builder = SegmentBuilder(DIMENSION)
            for number in range(50):
                path = f"/{part}/{number}"
                chunks = [make.chunk(f"{path} {index}", document_id=path, start=index) for index in range(2)]
                vectors = make.unit_rows(2, DIMENSION, seed=part * 1000 + number)
                builder.add(make.document_row(path), chunks, list(vectors))
            writer.commit(builder)
        assert writer.snapshot is not None
        first = [item for item in writer.snapshot.documents() if item.segment == "00000002"]
        writer.commit(SegmentBuilder(DIMENSION), retired=first[::3])
    return Snapshot.open(layout)


@pytest.mark.parametrize("k", [1, 10, 150, 1000])
def test_search_agrees_with_brute_force(snapshot: Snapshot, k: int) -> None:
    """The k best live rows, in order, with their cosine similarities; never a retired row."""
    query = make.unit_rows(1, DIMENSION, seed=9999)[0]
    expected = sorted(
        (
            (float(segment.vectors[row] @ query), number, row)
            for number, segment in enumerate(snapshot.segments)
            for row in range(segment.record.rows)
            if segment.live_mask[row]
        ),
        key=lambda item: (-item[0], item[1], item[2]),
    )[:k]
    found = search_exact(snapshot, query, k)
    assert [(hit.segment, hit.row) for hit in found] == [(number, row) for _, number, row in expected]
    np.testing.assert_allclose([hit.score for hit in found], [score for score, _, _ in expected], atol=1e-6)


def test_retired_rows_do_not_crowd_out_live_ones(snapshot: Snapshot) -> None:
    """k live hits come back even where the nearest rows are all retired."""
    dead = snapshot.segments[0].vectors[0]
    assert not snapshot.segments[0].live_mask[0]
    assert len(search_exact(snapshot, np.array(dead), 5)) == 5


def test_query_of_another_dimension_is_refused(snapshot: Snapshot) -> None:
    """A query that is not of the collection's dimension names model, expected and actual."""
    with pytest.raises(DimensionMismatch, match="'all-minilm' gives 16 dimensions, this has 8"):
        search_exact(snapshot, make.unit_rows(1, 8)[0], 3)
