"""Opening: races with a writer, what is not opened again, what is not read again, damage that is noticed."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.errors import CorruptCollection
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, Snapshot, collection_names
from pipeline.store.verified import COARSE_TICK_NS, TICK_NS
from tests import make

DIMENSION = 8


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path, "notes")


def built(*paths: str) -> SegmentBuilder:
    builder = SegmentBuilder(DIMENSION)
    for path in paths:
        builder.add(make.document_row(path), [make.chunk(path)], list(make.unit_rows(1, DIMENSION)))
    return builder


def commit(layout: Layout, *paths: str) -> Snapshot:
    with CollectionWriter(layout) as writer:
        if writer.snapshot is None:
            writer.create(make.identity(DIMENSION), {})
        return writer.commit(built(*paths))


def retire(layout: Layout, path: str) -> Snapshot:
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        gone = [item for item in writer.snapshot.documents() if item.row.path == path]
        return writer.commit(SegmentBuilder(DIMENSION), retired=gone)


def settle(layout: Layout) -> None:
    """Waits until the time stamps of the files tell what was written before from what is written after."""
    coarse = all(path.stat().st_mtime_ns % 1_000_000 == 0 for path in layout.root.rglob("*.arrow"))
    time.sleep((COARSE_TICK_NS if coarse else TICK_NS) / 1e9 + 0.01)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose checksum is computed, with their folders."""
    names: list[str] = []
    real = hashlib.file_digest

    def listening(file: Any, digest: Any) -> Any:
        names.append("/".join(Path(file.name).parts[-2:]))
        return real(file, digest)

    monkeypatch.setattr(hashlib, "file_digest", listening)
    return names


def test_commits_between_listing_and_reading_are_no_damage(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest that was the newest a moment ago may be gone by now: the collection is read again."""
    commit(layout, "/a")
    real, racing = Layout.generations, True

    def generations(self: Layout) -> list[int]:
        nonlocal racing
        found = real(self)
        if racing:
            racing = False
            for number in range(3):
                commit(layout, f"/{number}")
            # The reader lists, a writer commits three times, and only then the reader reads what it has listed.
            racing = len(calls) < 1
            calls.append(found)
        return found

    calls: list[list[int]] = []
    monkeypatch.setattr(Layout, "generations", generations)
    snapshot = Snapshot.open(layout)
    assert len(calls) == 2
    assert len(list(snapshot.documents())) == 7


def test_damage_is_told_from_a_race(layout: Layout) -> None:
    """A manifest that cannot be read while no writer is at work is damage."""
    commit(layout, "/a")
    layout.manifest(2).write_bytes(b"{")
    with pytest.raises(CorruptCollection, match="manifest-00000002"):
        Snapshot.open(layout)


def test_commit_reads_only_what_is_new(layout: Layout, hashed: list[str]) -> None:
    """Segments that stand as they stood are not opened again, and of one with new dead rows only those are read."""
    commit(layout, "/a", "/b")
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        first = writer.snapshot.segments[0]
        a = next(item for item in writer.snapshot.documents() if item.row.path == "/a")
        hashed.clear()
        snapshot = writer.commit(built("/c"))
        assert snapshot.segments[0] is first
        assert {name.split("/")[0] for name in hashed} <= {"00000003", ".00000003.tmp"}
        hashed.clear()
        snapshot = writer.commit(SegmentBuilder(DIMENSION), retired=[a])
        assert set(hashed) == {"00000002/deleted-00000004.arrow"}
    assert snapshot.segments[0].live_mask.tolist() == [False, True]
    assert snapshot.segments[1].live_mask.tolist() == [True]


def use(snapshot: Snapshot) -> None:
    """Reads from each of the four files of the first segment."""
    segment = snapshot.segments[0]
    assert segment.vectors.shape == (1, DIMENSION)
    assert len(segment.passages([0])) == 1
    assert segment.stored_document(0).row.path == "/a"
    assert list(segment.rows_of([make.chunk("/a").content_hash]).values()) == [0]


def test_files_are_hashed_on_first_use_and_never_again(layout: Layout, hashed: list[str]) -> None:
    """Opening hashes nothing, use only what is used; what has been verified is known to every later snapshot."""
    commit(layout, "/a")
    layout.verified.unlink(missing_ok=True)
    settle(layout)
    hashed.clear()
    snapshot = Snapshot.open(layout)
    assert hashed == []
    assert snapshot.segments[0].passages([0])[0]["text"] == "/a"
    assert hashed == ["00000002/passages.arrow"]
    use(snapshot)
    assert sorted(hashed) == [
        "00000002/documents.arrow",
        "00000002/hashes.arrow",
        "00000002/passages.arrow",
        "00000002/vectors.arrow",
    ]
    hashed.clear()
    use(Snapshot.open(layout))
    assert hashed == []


def test_writer_vouches_for_what_it_has_written(layout: Layout, hashed: list[str]) -> None:
    """A file whose time stamp has settled when its writer closes is not read again by anybody."""
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        writer.commit(built("/a"))
        settle(layout)
    hashed.clear()
    use(Snapshot.open(layout))
    assert hashed == []


def test_remembered_files_that_are_gone_are_forgotten(layout: Layout) -> None:
    """The list of verified files does not grow with what has been replaced, and a damaged line costs nothing."""
    commit(layout, "/a")
    settle(layout)
    use(Snapshot.open(layout))
    with CollectionWriter(layout):
        pass
    kept = layout.verified.read_text()
    with layout.verified.open("a") as file:
        file.write("half a li\n")
        file.writelines(f"{'0' * 64} 1 2 3 4 segments/{number:08d}/vectors.arrow\n" for number in range(50, 90))
    with CollectionWriter(layout):
        pass
    assert sorted(layout.verified.read_text().splitlines()) == sorted(kept.splitlines())


def test_reader_without_write_access_is_served(layout: Layout, hashed: list[str]) -> None:
    """Where what has been verified cannot be noted down, it is known as long as the snapshot lives."""
    commit(layout, "/a")
    settle(layout)
    layout.verified.unlink(missing_ok=True)
    layout.verified.mkdir()
    snapshot = Snapshot.open(layout)
    use(snapshot)
    hashed.clear()
    use(snapshot)
    assert hashed == []


def test_damage_is_noticed_though_size_and_time_are_as_before(layout: Layout) -> None:
    """A file that was altered after it was verified is verified again, even if it carries its old time."""
    commit(layout, "/a")
    settle(layout)
    use(Snapshot.open(layout))
    path = layout.segment("00000002") / "vectors.arrow"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=times)
    with pytest.raises(CorruptCollection, match=r"vectors\.arrow"):
        use(Snapshot.open(layout))


def test_mapped_file_that_is_cut_is_noticed_before_it_is_read(layout: Layout) -> None:
    """A snapshot that is asked for again looks at its files' sizes: reading past a cut would end the process."""
    commit(layout, "/a")
    snapshot = Snapshot.open(layout)
    use(snapshot)
    os.truncate(layout.segment("00000002") / "vectors.arrow", 100)
    with pytest.raises(CorruptCollection, match=r"vectors\.arrow is damaged"):
        Snapshot.open(layout, snapshot)


def test_nothing_is_removed_that_a_reader_has_open(layout: Layout) -> None:
    """A generation stays whole as long as a snapshot of it is held, and goes with the next writer after that."""
    commit(layout, "/a")
    reader = Snapshot.open(layout)
    for number in range(4):
        retire(layout, "/a" if number == 0 else f"/{number - 1}")
        commit(layout, f"/{number}")
    assert [passage["text"] for passage in reader.segments[0].passages([0])] == ["/a"]
    assert layout.manifest(2).exists()
    del reader
    with CollectionWriter(layout):
        pass
    assert not layout.manifest(2).exists()
    assert len(layout.generations()) == 2


def test_reader_in_another_process_is_seen(layout: Layout) -> None:
    """The lease works between processes, and ends with one that is killed."""
    commit(layout, "/a")
    code = (
        "import sys; from pathlib import Path; from pipeline.store import *; "
        "snapshot = Snapshot.open(Layout(Path(sys.argv[1]))); print('open', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(layout.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        for number in range(3):
            commit(layout, f"/{number}")
        assert layout.manifest(2).exists()
        reader.kill()
    with CollectionWriter(layout):
        pass
    assert not layout.manifest(2).exists()


def test_collection_is_opened_again_only_where_it_has_changed(layout: Layout, tmp_path: Path) -> None:
    """A library user who asks many times opens once; a commit is seen, and so is a collection made anew."""
    commit(layout, "/a")
    collection = Collection("notes", Config(home=tmp_path))
    first = collection.snapshot
    assert collection.snapshot is first
    commit(layout, "/b")
    second = collection.snapshot
    assert second.segments[0] is first.segments[0]
    assert [item.row.path for item in second.documents()] == ["/a", "/b"]
    third = retire(layout, "/a")
    assert collection.snapshot.manifest == third.manifest
    assert [item.row.path for item in collection.snapshot.documents()] == ["/b"]
    shutil.rmtree(layout.root)
    commit(layout, "/x")
    commit(layout, "/y")
    commit(layout, "/z")
    assert collection.snapshot.manifest.generation == third.manifest.generation
    assert [item.row.path for item in collection.snapshot.documents()] == ["/x", "/y", "/z"]


def test_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(layout: Layout, tmp_path: Path) -> None:
    """Where manifests cannot be looked for is damage: a writer would remove what no manifest names."""
    layout.root.parent.mkdir()
    layout.root.symlink_to(layout.root)
    with pytest.raises(CorruptCollection, match="cannot be read: Too many levels of symbolic links"):
        layout.generations()
    assert collection_names(tmp_path) == ["notes"]


@pytest.mark.parametrize("damage", ["cut", "made again"])
def test_hashes_that_have_changed_on_disk_are_mapped_anew(layout: Layout, damage: str) -> None:
    """A snapshot that goes on does not look at a map of a file that was cut, nor at one that has been replaced."""
    snapshot = commit(layout, "/a")
    digest = make.chunk("/a").content_hash
    assert snapshot.vectors_of([digest])
    path = layout.segment(snapshot.segments[0].id) / "hashes.arrow"
    os.truncate(path, 0)
    if damage == "made again":
        with CollectionWriter(layout):
            pass
    again = Snapshot.open(layout, snapshot)
    assert again.segments[0] is snapshot.segments[0]
    if damage == "made again":
        assert again.vectors_of([digest])
    else:
        with pytest.raises(CorruptCollection, match=r"hashes\.arrow is damaged"):
            again.vectors_of([digest])
