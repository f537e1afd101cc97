"""Commits: what was written is read back, retired rows do not count, leftovers and damage are noticed."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import (
    CollectionLocked,
    CollectionNotFound,
    CorruptCollection,
    DimensionMismatch,
    ModelMismatch,
    StorageUnwritable,
    UsageError,
)
from pipeline.store import (
    CollectionWriter,
    KnownDocuments,
    Layout,
    SegmentBuilder,
    Snapshot,
    collection_names,
    require_collection,
    verify_collection,
)
from pipeline.store.manifest import read_manifest, write_manifest
from tests import make

MAPS = Path("/proc/self/maps")
DIMENSION = 8


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path, "notes")


def built(*documents: tuple[str, list[str]], seed: int = 0) -> SegmentBuilder:
    builder = SegmentBuilder(DIMENSION)
    for number, (path, texts) in enumerate(documents):
        chunks = [make.chunk(text, document_id=path, start=index * 100) for index, text in enumerate(texts)]
        vectors = make.unit_rows(len(texts), DIMENSION, seed=seed + number)
        builder.add(make.document_row(path), chunks, list(vectors))
    return builder


def commit_two(layout: Layout) -> Snapshot:
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {"max_tokens": 254})
        return writer.commit(built(("/a", ["one", "two"]), ("/b", ["three"])))


def test_committed_vectors_and_passages_are_read_back(layout: Layout) -> None:
    """A reader finds the vectors bit for bit, and each passage in the row of its vector."""
    commit_two(layout)
    snapshot = Snapshot.open(layout)
    segment = snapshot.segments[0]
    expected = np.concatenate([make.unit_rows(2, DIMENSION, seed=0), make.unit_rows(1, DIMENSION, seed=1)])
    np.testing.assert_array_equal(segment.vectors, expected)
    assert [passage["text"] for passage in segment.passages([2, 0, 1])] == ["three", "one", "two"]
    assert {item.row.path: item.rows for item in snapshot.documents()} == {"/a": 2, "/b": 1}
    assert snapshot.manifest.live_rows == 3


def test_vectors_are_mapped_not_copied(layout: Layout) -> None:
    """The matrix is a read-only view of the file: no bytes are copied into memory of our own."""
    commit_two(layout)
    before = pa.total_allocated_bytes()
    vectors = Snapshot.open(layout).segments[0].vectors
    assert not vectors.flags.writeable
    assert not vectors.flags.owndata
    assert pa.total_allocated_bytes() == before


def test_segment_is_readable_with_pyarrow_alone(layout: Layout) -> None:
    """The files are plain Arrow IPC with the types that docs/storage.md names."""
    commit_two(layout)
    folder = layout.segment("00000002")
    schema = pa.ipc.open_file(pa.memory_map(str(folder / "vectors.arrow"))).schema
    assert schema.field("vector").type == pa.list_(pa.float32(), DIMENSION)
    table = pa.ipc.open_file(pa.memory_map(str(folder / "passages.arrow"))).read_all()
    assert table.column("content_hash")[0].as_py() == make.chunk("one").content_hash


def test_stored_vector_is_found_by_content_hash(layout: Layout) -> None:
    """A text with a known hash gets its vector from the collection; an unknown one gets none."""
    snapshot = commit_two(layout)
    one, two, four = (make.chunk(text).content_hash for text in ("one", "two", "four"))
    found = snapshot.vectors_of([two, four, one, two])
    assert set(found) == {one, two}
    np.testing.assert_array_equal(found[one], make.unit_rows(2, DIMENSION, seed=0)[0])
    np.testing.assert_array_equal(found[two], make.unit_rows(2, DIMENSION, seed=0)[1])
    assert snapshot.vectors_of([]) == {}


@pytest.mark.skipif(not MAPS.exists(), reason="only Linux lists what a process maps")
def test_stored_vectors_that_were_looked_up_leave_nothing_mapped(layout: Layout) -> None:
    """Else what a long run finds again, here and there in every segment, would count as its memory."""
    snapshot = commit_two(layout)
    found = snapshot.vectors_of([make.chunk("two").content_hash])
    assert len(found) == 1
    vectors = str(layout.segment(snapshot.segments[0].id) / "vectors.arrow")
    assert vectors not in MAPS.read_text()
    assert len(snapshot.segments[0].vectors)
    assert vectors in MAPS.read_text()


def test_hashes_that_begin_alike_are_told_apart(layout: Layout) -> None:
    """The sorted key is the first half of a hash: rows with the same one are compared by the whole."""
    digests = [bytes(8) + bytes([number]) * 8 for number in (3, 1, 2)]
    builder = SegmentBuilder(DIMENSION)
    vectors = make.unit_rows(3, DIMENSION)
    chunks = [replace(make.chunk(f"{at}", start=at), content_hash=digest) for at, digest in enumerate(digests)]
    builder.add(make.document_row("/a"), chunks, list(vectors))
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        snapshot = writer.commit(builder)
    found = snapshot.vectors_of([*digests, bytes(8) + bytes([9]) * 8, bytes([255]) * 16])
    assert set(found) == set(digests)
    for digest, vector in zip(digests, vectors, strict=True):
        np.testing.assert_array_equal(found[digest], vector)


def test_retired_document_no_longer_counts(layout: Layout) -> None:
    """Retiring a document hides it and its rows, and adds up over several commits."""
    commit_two(layout)
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        a = next(item for item in writer.snapshot.documents() if item.row.path == "/a")
        writer.commit(built(("/c", ["four"]), seed=5), retired=[a])
        b = next(item for item in writer.snapshot.documents() if item.row.path == "/b")
        writer.commit(SegmentBuilder(DIMENSION), retired=[b])
    snapshot = Snapshot.open(layout)
    assert [item.row.path for item in snapshot.documents()] == ["/c"]
    assert snapshot.manifest.live_rows == 1
    assert snapshot.segments[0].live_mask.tolist() == [False, False, False]


def test_reader_keeps_its_snapshot_while_a_writer_commits(layout: Layout) -> None:
    """A snapshot opened before a commit shows what it showed."""
    commit_two(layout)
    reader = Snapshot.open(layout)
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        writer.commit(built(("/c", ["four"]), seed=5), retired=list(writer.snapshot.documents()))
    assert sorted(item.row.path for item in reader.documents()) == ["/a", "/b"]
    assert [passage["text"] for passage in reader.segments[0].passages([0])] == ["one"]


def test_touched_times_replace_recorded_ones(layout: Layout) -> None:
    """A newer file time of an unchanged document is remembered, over further commits too."""
    commit_two(layout)
    with CollectionWriter(layout) as writer:
        writer.commit(SegmentBuilder(DIMENSION), touched={"/a": (7, 70)})
        writer.commit(SegmentBuilder(DIMENSION), touched={"/b": (8, 80)})
    times = {item.row.path: (item.row.size, item.row.mtime_ns) for item in Snapshot.open(layout).documents()}
    assert times == {"/a": (7, 70), "/b": (8, 80)}


def test_newer_times_end_with_the_document_they_belong_to(layout: Layout) -> None:
    """A document that is replaced or retired has no newer time any more, and with the last one the file goes."""
    commit_two(layout)
    with CollectionWriter(layout) as writer:
        snapshot = writer.commit(SegmentBuilder(DIMENSION), touched={"/a": (7, 70), "/b": (8, 80)})
        old = {item.row.path: item for item in snapshot.documents()}
        snapshot = writer.commit(built(("/a", ["new"]), seed=5), retired=[old["/a"]])
        assert {item.row.path: item.row.mtime_ns for item in snapshot.documents()} == {"/a": 1, "/b": 80}
        assert snapshot.touched is not None
        assert snapshot.touched.to_pylist() == [{"path": "/b", "size": 8, "mtime_ns": 80}]
        snapshot = writer.commit(SegmentBuilder(DIMENSION), retired=[old["/b"]])
        assert snapshot.touched is None
        assert snapshot.manifest.touched is None


def test_commit_that_changes_no_times_keeps_their_file(layout: Layout) -> None:
    """Newer times are written again only when there is something to change about them."""
    commit_two(layout)
    with CollectionWriter(layout) as writer:
        before = writer.commit(SegmentBuilder(DIMENSION), touched={"/a": (7, 70)}).manifest.touched
        assert writer.commit(built(("/c", ["four"]), seed=5)).manifest.touched == before


def test_writer_removes_what_is_superseded(layout: Layout) -> None:
    """Lists of dead rows and newer times that neither kept manifest names go; a snapshot in use shows what it did."""
    commit_two(layout)
    with CollectionWriter(layout) as writer:
        writer.commit(built(("/c", ["four"]), ("/d", ["five"]), ("/e", ["six"]), seed=5), touched={"/a": (7, 70)})
        for number, path in enumerate(["/b", "/c", "/d"]):
            assert writer.snapshot is not None
            gone = next(item for item in writer.snapshot.documents() if item.row.path == path)
            reader = writer.snapshot if number else None
            writer.commit(SegmentBuilder(DIMENSION), retired=[gone], touched={"/e": (number, number)})
            if number == 1:
                old = reader
    assert sorted(path.name for path in layout.removable() if path.suffix) == [
        "deleted-00000004.arrow",
        "deleted-00000005.arrow",
        "deleted-00000006.arrow",
        "touched-00000005.arrow",
        "touched-00000006.arrow",
    ]
    assert old is not None
    assert {item.row.path: item.row.mtime_ns for item in old.documents()} == {"/a": 70, "/c": 1, "/d": 1, "/e": 0}
    assert {item.row.path for item in Snapshot.open(layout).documents()} == {"/a", "/e"}


def test_writer_goes_on_after_a_commit_that_failed(layout: Layout) -> None:
    """A commit that fails at the manifest leaves nothing behind, and the same work can be committed again."""
    commit_two(layout)
    obstacle = layout.root / ".manifest-00000003.json.tmp"
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        a = next(item for item in writer.snapshot.documents() if item.row.path == "/a")
        builder = built(("/c", ["four"]), seed=5)
        obstacle.mkdir()
        with pytest.raises(StorageUnwritable, match=r"manifest-00000003\.json: Is a directory"):
            writer.commit(builder, retired=[a], touched={"/b": (8, 80)})
        assert [path.name for path in layout.removable()] == ["00000002"]
        assert Snapshot.open(layout).manifest.live_rows == 3
        obstacle.rmdir()
        writer.commit(builder, retired=[a], touched={"/b": (8, 80)})
    assert {item.row.path: item.row.mtime_ns for item in Snapshot.open(layout).documents()} == {"/b": 80, "/c": 1}


def test_document_that_cannot_be_added_adds_nothing(layout: Layout) -> None:
    """A vector of another dimension, or one too few, leaves the segment in the making as it was."""
    builder = built(("/a", ["one", "two"]))
    chunks = [make.chunk("three"), make.chunk("four")]
    vectors = list(make.unit_rows(1, DIMENSION))
    with pytest.raises(DimensionMismatch, match="8 dimensions, this has 4"):
        builder.add(make.document_row("/b"), chunks, [*vectors, *make.unit_rows(1, 4)])
    with pytest.raises(ValueError, match="2 chunks with 1 vectors"):
        builder.add(make.document_row("/b"), chunks, vectors)
    assert (builder.rows, len(builder.documents)) == (2, 1)
    assert builder.vector_of(make.chunk("three").content_hash) is None


def test_document_without_chunks_is_stored(layout: Layout) -> None:
    """A segment may hold documents and not one vector."""
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        writer.commit(built(("/empty", [])))
    snapshot = Snapshot.open(layout)
    assert [(item.row.path, item.rows) for item in snapshot.documents()] == [("/empty", 0)]
    assert snapshot.segments[0].vectors.shape == (0, DIMENSION)
    assert snapshot.vectors_of([make.chunk("one").content_hash]) == {}


def test_second_writer_is_told_who_holds_the_lock(layout: Layout) -> None:
    """A collection that is being written to refuses another writer and names the first."""
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(), {})
        with pytest.raises(CollectionLocked, match=f"process {os.getpid()}"):
            CollectionWriter(layout)


def test_lock_is_dropped_when_its_owner_is_killed(layout: Layout) -> None:
    """A writer killed with -9 leaves no lock behind, and its half-written segment is removed."""
    commit_two(layout)
    code = (
        "import os, sys, signal; from pathlib import Path; from pipeline.store import *; "
        "layout = Layout(Path(sys.argv[1])); writer = CollectionWriter(layout); "
        "(layout.segments / '00000009').mkdir(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(layout.root)], check=False)
    assert (layout.segments / "00000009").is_dir()
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        assert writer.snapshot.manifest.live_rows == 3
    assert not (layout.segments / "00000009").exists()


def test_writer_that_creates_nothing_leaves_nothing(layout: Layout) -> None:
    """A run that fails before the first commit leaves no empty collection behind."""
    with CollectionWriter(layout):
        pass
    assert not layout.root.exists()


@pytest.mark.parametrize("name", ["vectors.arrow", "passages.arrow", "documents.arrow", "hashes.arrow"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_damaged_segment_is_named_and_not_served(layout: Layout, name: str, damage: str) -> None:
    """A file that is not the one committed is an error that names it."""
    commit_two(layout)
    path = layout.segment("00000002") / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-8])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(CorruptCollection, match=name):
        read_all(Snapshot.open(layout))


def read_all(snapshot: Snapshot) -> None:
    """Reads from each of the four files of the first segment."""
    segment = snapshot.segments[0]
    assert segment.vectors.shape == (3, DIMENSION)
    assert len(segment.passages([0, 1, 2])) == 3
    assert len(list(segment.stored_documents())) == 2
    assert segment.rows_of([make.chunk("one").content_hash]) == {make.chunk("one").content_hash: 0}


def test_collection_of_format_1_is_read_and_written_anew(layout: Layout) -> None:
    """A manifest of the first format, which had no checksum and no indexes, opens; the next commit writes format 3."""
    commit_two(layout)
    path = layout.manifest(2)
    content = json.loads(path.read_bytes())
    assert content.pop("checksum")
    for segment in content["segments"]:
        del segment["index"]
    path.write_text(json.dumps({**content, "format": 1}))
    assert Snapshot.open(layout).manifest.live_rows == 3
    with CollectionWriter(layout) as writer:
        writer.commit(built(("/c", ["four"]), seed=5))
    assert json.loads(layout.manifest(3).read_bytes())["format"] == 3
    assert Snapshot.open(layout).manifest.live_rows == 4


def test_segments_of_format_2_are_given_path_tables(layout: Layout) -> None:
    """Without one the documents are known all the same; a writer adds it, in one commit, and it is a file like others."""
    commit_two(layout)
    path = layout.manifest(2)
    content = json.loads(path.read_bytes())
    for segment in content["segments"]:
        segment["files"] = [file for file in segment["files"] if file["name"] != "paths.arrow"]
        (layout.segment(segment["id"]) / "paths.arrow").unlink()
    del content["checksum"]
    path.write_text(json.dumps({**content, "format": 1}))
    before = Snapshot.open(layout)
    known = [(path, document.load()) for path, document in KnownDocuments(before).unseen()]
    assert len(known) == before.live_documents == 2
    with CollectionWriter(layout) as writer:
        after = writer.add_path_tables()
        assert writer.add_path_tables() is after
    assert [(path, document.load()) for path, document in KnownDocuments(after).unseen()] == known
    assert all(segment.has_path_table for segment in Snapshot.open(layout).segments)
    assert verify_collection(layout).problems == ()


def test_damaged_manifest_is_an_error(layout: Layout) -> None:
    """A manifest that is no JSON, or of a newer format, is an error and not an empty collection."""
    commit_two(layout)
    path = layout.manifest(2)
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(CorruptCollection, match="format 99"):
        Snapshot.open(layout)
    content["model"]["name"] = "other"
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptCollection, match="its checksum is wrong"):
        Snapshot.open(layout)
    path.write_text("{")
    with pytest.raises(CorruptCollection, match="manifest-00000002"):
        Snapshot.open(layout)


def test_vectors_of_another_dimension_are_refused(layout: Layout) -> None:
    """Neither a builder nor an opened segment takes vectors that are not of the model's dimension."""
    with pytest.raises(DimensionMismatch, match="8 dimensions, this has 4"):
        SegmentBuilder(DIMENSION).add(make.document_row("/a"), [make.chunk("x")], list(make.unit_rows(1, 4)))
    manifest = commit_two(layout).manifest
    write_manifest(layout, replace(manifest, model=make.identity(4)))
    with pytest.raises(DimensionMismatch, match="segment 00000002"):
        _ = Snapshot.open(layout).segments[0].vectors


def test_other_model_or_digest_is_refused(layout: Layout) -> None:
    """A collection refuses another model name, digest or dimension, and takes its own name with a tag."""
    snapshot = commit_two(layout)
    snapshot.require_model("all-minilm:latest")
    with pytest.raises(ModelMismatch, match="nomic-embed-text"):
        snapshot.require_model("nomic-embed-text")
    with pytest.raises(ModelMismatch, match="digest other"):
        snapshot.require_identity(make.identity(DIMENSION, digest="other"))
    with pytest.raises(DimensionMismatch, match="8 dimensions, this has 16"):
        snapshot.require_identity(make.identity(16))


@pytest.mark.parametrize("kind", ["query_prefix", "document_prefix"])
def test_other_prefixes_are_refused(layout: Layout, kind: str) -> None:
    """Vectors of texts with another prefix are never mixed with those that are there."""
    snapshot = commit_two(layout)
    snapshot.require_identity(make.identity(DIMENSION))
    with pytest.raises(ModelMismatch, match=f"{kind.replace('_', ' ')} '' for model 'all-minilm', not 'q: '"):
        snapshot.require_identity(replace(make.identity(DIMENSION), **{kind: "q: "}))


def test_names_that_are_no_file_names_are_refused(tmp_path: Path) -> None:
    """A collection's name cannot lead out of its folder."""
    for name in ("../x", "a/b", "", ".hidden", "x" * 65):
        with pytest.raises(UsageError, match="cannot be a collection's name"):
            Layout.of(tmp_path, name)


def test_missing_collection_names_those_that_exist(layout: Layout, tmp_path: Path) -> None:
    """The error for an unknown collection says which ones there are."""
    commit_two(layout)
    assert collection_names(tmp_path) == ["notes"]
    with pytest.raises(CollectionNotFound) as caught:
        require_collection(tmp_path, "other")
    assert "notes" in caught.value.hint


def test_home_that_is_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    """A home below a file is an error with a hint, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritable, match="cannot write"):
        CollectionWriter(Layout.of(tmp_path / "file", "notes"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": lambda path: path.write_bytes(bytes([*path.read_bytes()[:-1], 7])),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("name", ["hashes.arrow", "paths.arrow"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_follows_from_other_files_is_made_again(
    layout: Layout, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By whoever writes next, to the byte; it is said which file that was, and readers have no use for it meanwhile."""
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        writer.commit(built(("/a", ["one", "two"]), ("/b", ["three"])))
        writer.commit(built(("/c", ["four"]), seed=5))
    path = sorted(layout.segments.glob(f"*/{name}"))[0]
    content = path.read_bytes()
    DAMAGES[damage](path)
    assert [row.row.path for row in Snapshot.open(layout).documents()] == ["/a", "/b", "/c"]
    with caplog.at_level(logging.WARNING), CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        assert writer.snapshot.manifest.generation == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is not the file that was committed: made again from what it follows from"
    ]
    assert path.read_bytes() == content
    assert verify_collection(layout).problems == ()


def test_what_is_made_again_otherwise_is_a_commit(layout: Layout) -> None:
    """Another release may have written the same table in other bytes: the manifest says what is there now."""
    commit_two(layout)
    manifest = read_manifest(layout)
    [record] = manifest.segments
    others = tuple(replace(file, sha256="0" * 64) if file.name == "paths.arrow" else file for file in record.files)
    write_manifest(layout, replace(manifest, segments=(replace(record, files=others),)))
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        assert writer.snapshot.manifest.generation == manifest.generation + 1
        assert writer.snapshot.manifest.segments == manifest.segments
    assert verify_collection(layout).problems == ()


def test_nothing_is_made_again_from_what_is_damaged_itself(layout: Layout) -> None:
    """The file that it would follow from is named, and nothing is written."""
    commit_two(layout)
    [folder] = layout.segments.iterdir()
    for name in ("paths.arrow", "documents.arrow"):
        DAMAGES["flipped"](folder / name)
    damaged = (folder / "paths.arrow").read_bytes()
    with pytest.raises(CorruptCollection, match=r"documents\.arrow is damaged"):
        CollectionWriter(layout)
    assert (folder / "paths.arrow").read_bytes() == damaged
