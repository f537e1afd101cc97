"""Looking after segments: what is small is merged, what is large is indexed, and what is found stays the same."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CollectionNotFound
from pipeline.index import WORTH_AN_INDEX, search_dense
from pipeline.optimize import optimize, optimize_collection
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, Snapshot, verify_collection
from pipeline.store.merge import MANY
from tests import make

DIMENSION = 32


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path, "notes")
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
    return layout


def add(layout: Layout, name: str, rows: int) -> None:
    builder = SegmentBuilder(DIMENSION)
    seed = int.from_bytes(name.encode())
    vectors = make.unit_rows(rows, DIMENSION, seed=seed)
    for start in range(0, rows, 500):
        count = min(500, rows - start)
        path = f"/{name}/{start}"
        chunks = [make.chunk(f"{path}/{at}", document_id=path, start=at * 100) for at in range(count)]
        builder.add(make.document_row(path), chunks, list(vectors[start : start + count]))
    with CollectionWriter(layout) as writer:
        writer.commit(builder)


def found(layout: Layout, queries: np.ndarray) -> list[list[tuple[float, str]]]:
    snapshot = Snapshot.open(layout)
    return [
        [(hit.score, snapshot.segments[hit.segment].passages([hit.row])[0]["text"]) for hit in hits]
        for hits in search_dense(snapshot, queries, 5)
    ]


def test_large_segment_is_indexed_once(layout: Layout) -> None:
    """Merging makes one segment of several and indexes it; a second run has nothing to do."""
    for name in ("a", "b", "c"):
        add(layout, name, WORTH_AN_INDEX // 3 + 1)
    queries = make.unit_rows(5, DIMENSION, seed=99)
    before = found(layout, queries)
    steps: list[tuple[int, int]] = []
    report = optimize_collection(
        layout.root.parent.parent, "notes", on_rows=lambda done, total: steps.append((done, total))
    )
    assert (report.before.segments, report.before.indexed_rows) == (3, 0)
    assert (report.after.segments, report.after.indexed_rows) == (1, report.before.rows)
    assert steps[-1] == (report.after.rows, report.after.rows)
    assert found(layout, queries) == before
    generation = Snapshot.open(layout).manifest.generation
    again = optimize_collection(layout.root.parent.parent, "notes")
    assert again.before == again.after
    assert Snapshot.open(layout).manifest.generation == generation
    assert verify_collection(layout).problems == ()


def test_damaged_index_is_named_left_out_and_made_anew(layout: Layout, caplog: pytest.LogCaptureFixture) -> None:
    """Search goes on without it, `verify` names it, and the next optimize repairs it."""
    add(layout, "a", WORTH_AN_INDEX)
    optimize_collection(layout.root.parent.parent, "notes")
    queries = make.unit_rows(5, DIMENSION, seed=99)
    before = found(layout, queries)
    path = next(layout.segments.glob("*/index-*.faiss"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert found(layout, queries) == before
    assert "an index is of no use" in caplog.text
    assert [Path(problem.path).name for problem in verify_collection(layout).problems] == [path.name]
    optimize_collection(layout.root.parent.parent, "notes")
    assert verify_collection(layout).problems == ()
    segment = Snapshot.open(layout).segments[0]
    assert segment.index_file is not None
    assert segment.index_file[0] != path


def test_after_a_run_only_many_small_segments_are_merged(layout: Layout) -> None:
    """One fewer than many stay as they are, then all become one."""
    for number in range(MANY - 1):
        add(layout, f"{number}", 3)
    with CollectionWriter(layout) as writer:
        report = optimize(writer, thorough=False)
        assert report.before == report.after
    add(layout, "last", 3)
    with CollectionWriter(layout) as writer:
        assert optimize(writer, thorough=False).after.segments == 1


def test_collection_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Nothing is created by optimizing a collection that does not exist."""
    with pytest.raises(CollectionNotFound, match="'other'"):
        optimize_collection(tmp_path, "other")
    assert list(tmp_path.iterdir()) == []
