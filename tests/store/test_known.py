"""What a run knows of each document: found by path, newest time, seen or not, in few bytes."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import CollectionWriter, KnownDocuments, Layout, SegmentBuilder, Snapshot, spans_below
from pipeline.store.paths import PathTable, joined, path_table, rows_in
from tests import make

DIMENSION = 8


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path, "notes")


def built(*paths: str) -> SegmentBuilder:
    builder = SegmentBuilder(DIMENSION)
    for path in paths:
        builder.add(make.document_row(path, content=path), [make.chunk(path)], list(make.unit_rows(1, DIMENSION)))
    return builder


def test_documents_are_found_by_path_with_their_newest_times(layout: Layout) -> None:
    """Live documents of every segment, none that is dead, and the rest of what is stored of one when it is asked."""
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        writer.commit(built("/a", "/b", "/c"))
        snapshot = writer.commit(built("/d"), touched={"/b": (7, 70)})
        gone = next(item for item in snapshot.documents() if item.row.path == "/a")
        snapshot = writer.commit(built("/é"), retired=[gone])
    known = KnownDocuments(snapshot)
    assert len(known) == 4
    found = {path: known.see(path) for path in ("/a", "/b", "/c", "/d", "/é", "/nowhere", "")}
    times = {path: (item.size, item.mtime_ns) for path, item in found.items() if item}
    assert times == {"/b": (7, 70), "/c": (2, 1), "/d": (2, 1), "/é": (2, 1)}
    stored = [item.load() for item in found.values() if item]
    assert [item.row for item in stored] == [make.document_row(path, content=path) for path in times]
    assert [(item.segment, item.position) for item in stored] == [
        ("00000002", 1),
        ("00000002", 2),
        ("00000003", 0),
        ("00000004", 0),
    ]


def test_documents_that_were_not_seen_are_listed_in_their_order(layout: Layout) -> None:
    """What a walk did not come by is named with its path, segment by segment."""
    paths = [f"/{number:03d}" for number in range(200)]
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        writer.commit(built(*paths[:150]))
        snapshot = writer.commit(built(*paths[150:]))
    known = KnownDocuments(snapshot)
    for path in paths[::3]:
        assert known.see(path) is not None
    unseen = list(known.unseen())
    assert [path for path, _ in unseen] == [path for number, path in enumerate(paths) if number % 3]
    assert all(item.load().row.path == path for path, item in unseen)


def test_nothing_is_known_of_a_collection_that_does_not_exist() -> None:
    """Before the first commit every path is new."""
    known = KnownDocuments(None)
    assert (len(known), known.see("/a"), list(known.unseen())) == (0, None, [])


@given(
    st.lists(st.text("ab/é\U0001f600.", max_size=6), max_size=30, unique=True),
    st.lists(st.text("ab/é\U0001f600.", max_size=4), max_size=4),
)
def test_spans_hold_what_is_a_root_or_lies_below_one(paths: list[str], roots: list[str]) -> None:
    """Whatever the characters, the order and the overlaps."""
    numbers = pa.array(range(len(paths)), pa.int64())
    table = PathTable.of(
        path_table(pa.table({"path": pa.array(paths, pa.string()), "size": numbers, "mtime_ns": numbers}))
    )
    rows = rows_in(joined(spans_below(roots)), table.paths)
    expected = {
        path for path in paths if any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)
    }
    assert set(table.paths_of(rows)) == expected
    assert {paths[position] for position in table.positions[rows].tolist()} == expected
    assert (table.sizes == table.positions).all()


def test_what_lies_below_some_paths_is_known_and_nothing_else(layout: Layout) -> None:
    """Of every segment, with the newer times."""
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        writer.commit(built("/b/2", "/a", "/b/1"))
        snapshot = writer.commit(built("/b.md", "/b/3/x"), touched={"/b/1": (7, 70), "/a": (8, 80)})
    known = KnownDocuments(snapshot, spans_below(["/b", "/b/3"]))
    assert [(path, item.mtime_ns) for path, item in known.unseen()] == [("/b/1", 70), ("/b/2", 1), ("/b/3/x", 1)]
    assert known.see("/a") is None
    assert (document := known.see("/b/1")) is not None
    assert document.load().row.path == "/b/1"
    assert [path for path, _ in known.unseen()] == ["/b/2", "/b/3/x"]


def test_only_the_paths_asked_for_are_read(layout: Layout) -> None:
    """What a run over a few documents holds of a large collection does not grow with it: less than a byte a document."""
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        snapshot = writer.commit(built(*(f"/{number:05d}" for number in range(10_000)), "/new/a", "/new/b"))
        known = KnownDocuments(snapshot, spans_below(["/new"]))
        assert len(known) == 2
        assert known.see("/00007") is None
        tracemalloc.start()
        try:
            KnownDocuments(snapshot, spans_below(["/new"]))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 10_000


def test_a_known_document_costs_few_bytes(layout: Layout) -> None:
    """However long paths and titles are, less than 50 bytes a document stay in memory."""
    count = 5000
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        writer.commit(built(*(f"/{'long' * 40}/{number}" for number in range(count))))
    snapshot = Snapshot.open(layout)
    KnownDocuments(snapshot)
    tracemalloc.start()
    try:
        known = KnownDocuments(snapshot)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(known) == count
    assert held < 50 * count
    assert np.isin([f"/{'long' * 40}/7"], [path for path, _ in known.unseen()]).all()
