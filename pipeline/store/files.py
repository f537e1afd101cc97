"""Durable files: written whole or not at all, flushed to the disk, with checksums.

In: paths, bytes, Arrow tables. Out: `FileRecord`s for the manifest, tables read back, OS errors as StorageErrors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import CorruptCollection, StorageUnwritable

if TYPE_CHECKING:
    import pyarrow as pa

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A file as the manifest names it: its name in its folder, its size and its checksum."""

    name: str
    bytes: int
    sha256: str


@contextlib.contextmanager
def writing(path: Path) -> Generator[None]:
    """Maps operating-system errors while `path` is written to StorageUnwritable with what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            hint = "free some space, then run the same command again: what was committed is kept"
        elif error.errno in NOT_ALLOWED:
            hint = "make it writable, or choose another place with --home or PIPELINE_HOME"
        else:
            hint = "check the disk and --home, then run the same command again: what was committed is kept"
        reason = error.strerror or str(error)
        raise StorageUnwritable(f"cannot write {path}: {reason}", hint=hint) from error


def make_folder(path: Path) -> None:
    """Creates `path` and its parents. Raises StorageUnwritable."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def sync_folder(path: Path) -> None:
    """Flushes a folder's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes) -> FileRecord:
    """Writes `path` by way of a temporary file, fsync and rename. Raises StorageUnwritable."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    return FileRecord(name=path.name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def write_table(path: Path, table: pa.Table, *, compressed: bool, rows_per_batch: int | None = None) -> FileRecord:
    """Writes an Arrow IPC file and flushes it. Not atomic: its folder is renamed into place as a whole."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    options = pa.ipc.IpcWriteOptions(compression="zstd" if compressed else None)
    with writing(path):
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_file(sink, table.schema, options=options) as writer,
        ):
            writer.write_table(table, max_chunksize=rows_per_batch or max(1, table.num_rows))
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    return record_of(path)


def record_of(path: Path) -> FileRecord:
    """Size and checksum of a file as it stands."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(name=path.name, bytes=path.stat().st_size, sha256=digest)


def check_file(folder: Path, record: FileRecord, *, checksum: bool) -> Path:
    """The path of a recorded file. Raises CorruptCollection if it is missing, cut, or (with `checksum`) altered."""
    path = folder / record.name
    try:
        size = path.stat().st_size
        damaged = size != record.bytes
        if not damaged and checksum:
            damaged = record_of(path).sha256 != record.sha256
    except OSError as error:
        raise CorruptCollection(
            f"{path} cannot be read: {error.strerror}",
            hint="restore it, or index the documents into a new collection",
        ) from error
    if damaged:
        raise CorruptCollection(
            f"{path} is damaged: it is not the file that was committed ({record.bytes} bytes)",
            hint="restore it from a backup, or remove the collection and index again",
        )
    return path


def map_table(path: Path) -> pa.Table:
    """An Arrow IPC file, memory-mapped. Raises CorruptCollection if it is none."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise CorruptCollection(
            f"{path} is not a readable Arrow file: {error}",
            hint="restore it from a backup, or remove the collection and index again",
        ) from error
