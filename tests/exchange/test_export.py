"""Files that are written: whole or not at all, never over something else. The command line for both ways."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import StorageUnwritable, UsageError
from pipeline.exchange import export_collection
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, Snapshot
from tests.make import chunk, document_row, identity, unit_rows

NAMES = ["out.parquet", "out.jsonl", "out.numpy"]


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Five thousand passages of ten documents."""
    layout = Layout.of(tmp_path / "home", "notes")
    with CollectionWriter(layout) as writer:
        writer.create(identity(64), {"max_tokens": 100})
        builder = SegmentBuilder(64)
        for number in range(10):
            row = document_row(f"/docs/{number}.md")
            chunks = [chunk(f"text {number} {place}", document_id=row.document_id, start=place) for place in range(500)]
            builder.add(row, chunks, list(unit_rows(500, 64, seed=number)))
        return writer.commit(builder)


def entries(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_there_is_not_overwritten_unless_told(snapshot: Snapshot, tmp_path: Path, name: str) -> None:
    """A second export to the same place is refused, and done with `overwrite`; nothing else is left beside it."""
    folder = tmp_path / "out"
    folder.mkdir()
    export_collection(snapshot, folder / name)
    names = entries(folder)
    assert names == ({name, f"{name}.model.json"} if name.endswith("jsonl") else {name})
    with pytest.raises(UsageError, match="is there already") as caught:
        export_collection(snapshot, folder / name)
    assert "--force" in caught.value.hint
    report = export_collection(snapshot, folder / name, overwrite=True)
    assert report.passages == 5000
    assert entries(folder) == names


def test_other_things_are_never_replaced(snapshot: Snapshot, tmp_path: Path) -> None:
    """A folder of somebody's files, a folder in place of a file, a pipe, a dangling link."""
    (tmp_path / "work.numpy").mkdir()
    (tmp_path / "work.numpy/thesis.txt").write_text("years of work")
    (tmp_path / "folder.parquet").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "link.parquet").symlink_to("nowhere")
    (tmp_path / "file.numpy").write_text("x")
    for name in ("work.numpy", "folder.parquet", "pipe.jsonl", "link.parquet", "file.numpy"):
        with pytest.raises(UsageError, match="it is not replaced"):
            export_collection(snapshot, tmp_path / name, overwrite=True)
    assert (tmp_path / "work.numpy/thesis.txt").read_text() == "years of work"


def test_name_must_tell_a_format(snapshot: Snapshot, tmp_path: Path) -> None:
    """A suffix that is not known needs --format, and is then taken as it is."""
    with pytest.raises(UsageError, match="does not tell a format"):
        export_collection(snapshot, tmp_path / "out.csv")
    with pytest.raises(UsageError, match="becomes a folder"):
        export_collection(snapshot, tmp_path / "out.npy")
    export_collection(snapshot, tmp_path / "out.data", format="parquet")
    assert pq.read_metadata(tmp_path / "out.data").num_rows == 5000


@pytest.mark.parametrize("name", NAMES)
def test_interrupt_leaves_what_was_there(snapshot: Snapshot, tmp_path: Path, name: str) -> None:
    """Ctrl-C in the middle: the file of before is untouched, and no half file is left."""
    folder = tmp_path / "out"
    folder.mkdir()
    export_collection(snapshot, folder / name)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def interrupt(_: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        export_collection(snapshot, folder / name, overwrite=True, progress=interrupt)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    with pytest.raises(KeyboardInterrupt):
        export_collection(snapshot, folder / f"new-{name}", progress=interrupt)
    assert not [entry for entry in entries(folder) if "new" in entry]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB; tests that need one are skipped where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [shutil.which("mount") or "false", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_full_disk_is_named_and_left_empty(snapshot: Snapshot, small_disk: Path, name: str) -> None:
    """1.3 MB of vectors do not fit: the error says so, and the disk is as empty as before."""
    with pytest.raises(StorageUnwritable, match=rf"cannot write .*{name}.*No space left"):
        export_collection(snapshot, small_disk / name)
    assert entries(small_disk) == set()


def test_folder_that_is_missing_is_named(snapshot: Snapshot, tmp_path: Path) -> None:
    """No folder is made up on the way."""
    with pytest.raises(StorageUnwritable, match="No such file or directory"):
        export_collection(snapshot, tmp_path / "nowhere/out.parquet")


def run(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "collections", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_commands_take_a_collection_out_and_in(snapshot: Snapshot, tmp_path: Path) -> None:
    """Export, export to a pipe, import what came out of it with a model named, and what each prints."""
    done = run("export", "notes", "-o", "out.parquet", "--json", folder=tmp_path)
    assert json.loads(done.stdout) == {
        "collection": "notes",
        "output": "out.parquet",
        "format": "parquet",
        "documents": 10,
        "passages": 5000,
        "bytes": (tmp_path / "out.parquet").stat().st_size,
    }
    again = run("export", "notes", "-o", "out.parquet", folder=tmp_path)
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    assert run("export", "notes", "-o", "out.parquet", "--force", folder=tmp_path).returncode == 0
    piped = run("export", "notes", "-o", "-", folder=tmp_path)
    lines = piped.stdout.rstrip("\n").split("\n")
    assert len(lines) == 5000
    vectors = np.array([json.loads(line)["vector"] for line in lines]).astype(np.float32)
    assert vectors.tobytes() == snapshot.segments[0].vectors.tobytes()
    (tmp_path / "piped.jsonl").write_text(piped.stdout, encoding="utf-8")
    nameless = run("import", "piped.jsonl", "-c", "copy", folder=tmp_path)
    assert (nameless.returncode, "--model" in nameless.stderr) == (2, True)
    taken = run("import", "piped.jsonl", "-c", "copy", "--model", "some-model", folder=tmp_path)
    assert "10 added; passages: 5000 stored, 5000 in all; model some-model (64)" in taken.stdout
    assert "not imported: content_hash, document_hash, mtime_ns, size" in taken.stderr
    twice = json.loads(run("import", "out.parquet", "-c", "notes", "--json", folder=tmp_path).stdout)
    twice.pop("seconds")
    assert twice == {
        "collection": "notes",
        "model": "all-minilm",
        "dimension": 64,
        "documents": {"added": 0, "updated": 0, "unchanged": 10, "removed": 0},
        "passages": 0,
        "normalised": 0,
        "total": 5000,
        "ignored": [],
    }


@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        (["export", "nothing", "-o", "x.parquet"], 1, "CollectionNotFound"),
        (["export", "notes", "-o", "x.csv"], 2, "UsageError"),
        (["export", "notes", "-o", "-"], 2, "UsageError"),
        (["import", "nothing.parquet"], 2, "UsageError"),
        (["import", "bad.jsonl", "--model", "m"], 1, "ReadError"),
    ],
    ids=["no collection", "no format", "json and lines", "no file", "bad file"],
)
def test_mistakes_are_errors_with_a_hint(
    snapshot: Snapshot, tmp_path: Path, arguments: list[str], status: int, kind: str
) -> None:
    """A user's mistake is one JSON object with type, message and hint; nothing is written."""
    (tmp_path / "bad.jsonl").write_text("{")
    done = run(*arguments, "--json", folder=tmp_path)
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    assert (done.returncode, error["type"]) == (status, kind)
    assert error["hint"]
    assert not list(tmp_path.glob("x.*"))


def test_reader_that_goes_away_ends_the_export_quietly(snapshot: Snapshot, tmp_path: Path) -> None:
    """`export -o - | head -1` prints one line and no complaint."""
    command = f"{sys.executable} -m pipeline collections export notes -o - | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
