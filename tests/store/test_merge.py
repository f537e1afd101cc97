"""Merging: what counts is as it was, what does not is gone, and whoever reads goes on reading."""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pipeline.errors import CorruptCollection, StorageUnwritable
from pipeline.store import CollectionWriter, Layout, PassingVectors, SegmentBuilder, Snapshot, plan_merges
from pipeline.store.files import FileRecord
from pipeline.store.manifest import SegmentRecord
from pipeline.store.merge import LARGEST_MERGE, MANY, SMALL
from tests import make

DIMENSION = 8
Content = dict[str, list[tuple[str, bytes]]]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path, "notes")


def fill(layout: Layout, *, segments: int, documents: int, seed: int) -> None:
    """Commits documents of 0 to 90 chunks each, and retires every third of those that stood before."""
    chance = random.Random(seed)
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        for number in range(segments):
            assert writer.snapshot is not None
            retired = [item for item in writer.snapshot.documents() if chance.random() < 0.3]
            builder = SegmentBuilder(DIMENSION)
            for position in range(documents):
                path = f"/{number}/{position}"
                texts = [f"{path} chunk {index}" for index in range(chance.choice([0, 1, 5, 90]))]
                chunks = [make.chunk(text, document_id=path, start=100 * at) for at, text in enumerate(texts)]
                vectors = make.unit_rows(max(1, len(texts)), DIMENSION, seed=chance.randrange(10**6))
                whole = chance.random() < 0.9
                builder.add(make.document_row(path), chunks, list(vectors[: len(texts)]), whole=whole)
            touched = {item.row.path: (7, 70 + number) for item in writer.snapshot.documents() if item not in retired}
            writer.commit(builder, retired=retired, touched=dict(list(touched.items())[:2]))


def content(snapshot: Snapshot) -> Content:
    """Every live document with the text and vector of each of its chunks, and its row in the segment."""
    found: Content = {}
    for document in snapshot.documents():
        segment = snapshot.segment_of(document)
        rows = range(document.first_row, document.first_row + document.rows)
        assert segment.live_mask[list(rows)].all()
        found[f"{document.row}"] = [
            (str(passage), segment.vectors[row].tobytes())
            for row, passage in zip(rows, segment.passages(list(rows)), strict=True)
        ]
    return found


def merge_all(layout: Layout) -> Snapshot:
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        return writer.merge([segment.id for segment in writer.snapshot.segments])


@pytest.mark.parametrize("seed", range(5))
def test_what_counts_is_the_same_after_a_merge(layout: Layout, seed: int) -> None:
    """Documents, passages, vectors and newer file times are those that were live; dead rows are gone."""
    fill(layout, segments=4, documents=6, seed=seed)
    before = Snapshot.open(layout)
    expected = content(before)
    merge_all(layout)
    after = Snapshot.open(layout)
    assert content(after) == expected
    assert len(after.segments) == 1
    record = after.segments[0].record
    assert (record.rows, record.deleted_rows, record.deleted) == (before.manifest.live_rows, 0, None)
    assert after.segments[0].vectors.shape == (before.manifest.live_rows, DIMENSION)


def test_stored_vectors_are_found_by_hash_after_a_merge(layout: Layout) -> None:
    """Every live text has its vector by its hash, and a text that is gone has none."""
    fill(layout, segments=3, documents=5, seed=1)
    before = Snapshot.open(layout)
    live: dict[bytes, NDArray[np.float32]] = {}
    dead: set[bytes] = set()
    for segment in before.segments:
        for row, digest in enumerate(segment.content_hashes(range(segment.record.rows))):
            if segment.live_mask[row]:
                live[digest] = np.array(segment.vectors[row])
            else:
                dead.add(digest)
    after = merge_all(layout)
    assert len(live) > 20
    assert dead - set(live)
    found = after.vectors_of([*live, *dead])
    assert set(found) == set(live)
    for digest, vector in live.items():
        np.testing.assert_array_equal(found[digest], vector)


def test_merged_files_have_the_form_that_is_documented(layout: Layout) -> None:
    """One batch of vectors; passages and documents in full batches of 64 but for the last."""
    fill(layout, segments=4, documents=40, seed=2)
    segment = merge_all(layout).segments[0]
    folder = layout.segment(segment.id)
    reader = pa.ipc.open_file(pa.memory_map(str(folder / "vectors.arrow")))
    assert reader.num_record_batches == 1
    assert reader.schema.field("vector").type == pa.list_(pa.float32(), DIMENSION)
    for name in ("passages.arrow", "documents.arrow"):
        reader = pa.ipc.open_file(pa.memory_map(str(folder / name)))
        sizes = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
        assert set(sizes[:-1]) == {64}
        assert 0 < sizes[-1] <= 64


def test_reader_goes_on_while_segments_are_merged(layout: Layout) -> None:
    """A snapshot from before shows what it did, down to files that it had not looked at yet."""
    fill(layout, segments=3, documents=5, seed=3)
    expected = content(Snapshot.open(layout))
    reader = Snapshot.open(layout)
    for _ in range(3):
        merge_all(layout)
        fill_more(layout)
    assert content(reader) == expected


def fill_more(layout: Layout) -> None:
    with CollectionWriter(layout) as writer:
        builder = SegmentBuilder(DIMENSION)
        builder.add(make.document_row("/more"), [make.chunk("more")], list(make.unit_rows(1, DIMENSION)))
        writer.commit(builder)


def test_merged_segments_leave_the_disk(layout: Layout) -> None:
    """When no kept manifest names them any more, the folders of what was merged are gone."""
    fill(layout, segments=3, documents=5, seed=3)
    merged = merge_all(layout).segments[0].id
    merge_all(layout)
    merge_all(layout)
    assert len(list(layout.segments.iterdir())) <= 2
    assert not layout.segment(merged).exists()


def test_segments_of_nothing_that_counts_just_go(layout: Layout) -> None:
    """Merging segments whose documents are all retired leaves a collection without segments."""
    fill(layout, segments=1, documents=3, seed=4)
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        writer.commit(SegmentBuilder(DIMENSION), retired=list(writer.snapshot.documents()))
    assert merge_all(layout).segments == ()
    assert list(Snapshot.open(layout).documents()) == []


def test_merge_that_fails_leaves_the_collection_as_it_was(layout: Layout) -> None:
    """A manifest that cannot be written takes the merged segment with it; the next attempt succeeds."""
    fill(layout, segments=2, documents=4, seed=5)
    expected = content(Snapshot.open(layout))
    folders = sorted(path.name for path in layout.segments.iterdir())
    generation = Snapshot.open(layout).manifest.generation + 1
    obstacle = layout.root / f".{layout.manifest(generation).name}.tmp"
    obstacle.mkdir()
    with pytest.raises(StorageUnwritable):
        merge_all(layout)
    assert sorted(path.name for path in layout.segments.iterdir()) == folders
    obstacle.rmdir()
    assert content(merge_all(layout)) == expected


def test_damaged_segment_is_not_merged(layout: Layout) -> None:
    """A flipped byte in a segment is noticed before it becomes part of another one."""
    fill(layout, segments=2, documents=4, seed=6)
    path = next(layout.segments.glob("*/vectors.arrow"))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptCollection, match=r"vectors\.arrow is damaged"):
        merge_all(layout)


def test_index_is_built_recorded_and_verified(layout: Layout) -> None:
    """The builder sees the merged vectors; its file and facts are found by readers, and a changed file is refused."""
    fill(layout, segments=2, documents=6, seed=7)
    shapes: list[tuple[int, ...]] = []
    keys = [slice(2, 5), slice(None, None, 3), slice(4, 4), np.array([5, 0, 1, 2, 7, 7])]
    seen: list[NDArray[np.float32]] = []

    def build(vectors: PassingVectors, path: Path) -> Mapping[str, Any]:
        shapes.append(vectors.shape)
        seen.extend(vectors[key] for key in keys)
        path.write_bytes(b"an index")
        return {"kind": "test", "recall": 0.998}

    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        writer.merge([segment.id for segment in writer.snapshot.segments], build)
    segment = Snapshot.open(layout).segments[0]
    assert shapes == [segment.vectors.shape]
    for key, found in zip(keys, seen, strict=True):
        np.testing.assert_array_equal(found, segment.vectors[key])
    assert segment.index_file is not None
    path, facts = segment.index_file
    assert (path.read_bytes(), facts) == (b"an index", {"kind": "test", "recall": 0.998})
    path.write_bytes(b"an inDex")
    with pytest.raises(CorruptCollection, match="index"):
        _ = Snapshot.open(layout).segments[0].index_file


def test_index_can_be_added_to_a_segment_and_goes_with_it(layout: Layout) -> None:
    """A segment gets an index in a generation of its own, a builder that declines none; a merge drops it."""
    fill(layout, segments=1, documents=6, seed=7)

    def build(_: PassingVectors, path: Path) -> Mapping[str, Any]:
        path.write_bytes(b"an index")
        return {}

    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        segment_id = writer.snapshot.segments[0].id
        before = writer.snapshot
        assert writer.add_index(segment_id, lambda *_: None) is before
        assert writer.add_index(segment_id, build).segments[0].index_file is not None
        assert writer.merge([segment_id]).segments[0].index_file is None


def record(number: int, rows: int, *, deleted: int = 0) -> SegmentRecord:
    gone = FileRecord(name="deleted", bytes=1, sha256="") if deleted else None
    return SegmentRecord(id=f"{number:08d}", rows=rows, documents=1, files=(), deleted=gone, deleted_rows=deleted)


def ids(groups: list[list[SegmentRecord]]) -> list[list[int]]:
    return [[int(item.id) for item in group] for group in groups]


def test_thorough_plan_joins_what_is_small_and_cleans_what_has_dead_rows() -> None:
    """Large clean segments stay; everything else is packed in order, never beyond the largest size."""
    large = LARGEST_MERGE - 10
    records = [record(1, 100), record(2, large), record(3, 100), record(4, large, deleted=150), record(5, 100)]
    assert ids(plan_merges(records, thorough=True)) == [[1, 3], [4, 5]]
    assert plan_merges([record(1, large), record(2, 100)], thorough=True) == []


def test_plan_after_every_run_waits_until_there_are_many_small_segments() -> None:
    """So a run costs what it adds, now and then a merge of small segments, and never one of large ones."""
    large = [record(100 + number, SMALL + 1, deleted=1) for number in range(20)]
    few = [record(number, 1000) for number in range(MANY - 1)]
    assert plan_merges([*large, *few], thorough=False) == []
    many = [*few, record(MANY, 1000)]
    assert ids(plan_merges([*large, *many], thorough=False)) == [[int(item.id) for item in many]]


def test_columns_that_a_segment_lacks_are_null_after_the_merge(layout: Layout) -> None:
    """A segment written before a column existed can be merged with one written after."""
    fill(layout, segments=2, documents=4, seed=8)
    snapshot = Snapshot.open(layout)
    changed = snapshot.segments[1]
    path = layout.segment(changed.id) / "passages.arrow"
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    table = table.append_column("extra", pa.array([f"x{row}" for row in range(len(table))]))
    from pipeline.store.files import write_tables
    from pipeline.store.manifest import write_manifest

    written = write_tables(path, table.schema, [table], rows_per_batch=64)
    files = tuple(written if file.name == path.name else file for file in changed.record.files)
    records = (snapshot.segments[0].record, replace(changed.record, files=files))
    write_manifest(layout, replace(snapshot.manifest, segments=records))
    merged = merge_all(layout).segments[0]
    extras = [passage["extra"] for passage in merged.passages(range(merged.record.rows))]
    live_before = snapshot.segments[0].record.live_rows
    assert extras[:live_before] == [None] * live_before
    assert all(extra.startswith("x") for extra in extras[live_before:])
