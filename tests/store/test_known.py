"""What a run knows of each document: found by path, newest time, seen or not, in few bytes."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pipeline.store import CollectionWriter, KnownDocuments, Layout, SegmentBuilder, Snapshot
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
    paths = [f"/{number}" for number in range(200)]
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
