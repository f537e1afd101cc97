"""Durable files: written whole or not at all, flushed to the disk, with checksums.

In: paths, bytes, Arrow tables. Out: `FileRecord`s for the manifest, tables read back, OS errors as StorageErrors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import CorruptCollection, StorageUnwritable

if TYPE_CHECKING:
    import pyarrow as pa

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}

CHECKSUMS_REMEMBERED = 65_536
SETTLED_NS = 2_000_000_000
"""A file changed less than this long ago may change again within its time stamp's resolution."""


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
        return FileRecord(name=path.name, bytes=path.stat().st_size, sha256=_checksum(path))


def check_file(folder: Path, record: FileRecord, *, checksum: bool) -> Path:
    """The path of a recorded file. Raises CorruptCollection if it is missing, cut, or (with `checksum`) altered."""
    path = folder / record.name
    try:
        status = path.stat()
        damaged = status.st_size != record.bytes
        if not damaged and checksum:
            damaged = _checksum_by_status(path, status) != record.sha256
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


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum_by_status(path: Path, status: os.stat_result) -> str:
    """As `_checksum`, but a file that has not changed for a while is read once in a process."""
    if time.time_ns() - status.st_mtime_ns < SETTLED_NS:
        return _checksum(path)
    return _checksum_of_settled(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=CHECKSUMS_REMEMBERED)
def _checksum_of_settled(path: Path, *_: int) -> str:
    return _checksum(path)


@contextlib.contextmanager
def reading(path: Path) -> Generator[None]:
    """Maps errors while the Arrow file `path` is read to CorruptCollection."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise CorruptCollection(
            f"{path} is not a readable Arrow file: {error}",
            hint="restore it from a backup, or remove the collection and index again",
        ) from error


def open_table(path: Path, columns: Sequence[str] = ()) -> pa.RecordBatchFileReader:
    """An Arrow IPC file, memory-mapped, with some of its columns or all. Raises CorruptCollection if it is none."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    with reading(path):
        source = pa.memory_map(str(path))
        # Batches are small: handing their columns to threads takes longer than unpacking them.
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(use_threads=False))
        if not columns:
            return reader
        fields = sorted(reader.schema.get_field_index(column) for column in columns)
        return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields))


def map_table(path: Path, columns: Sequence[str] = ()) -> pa.Table:
    """The rows of `open_table`: mapped without a copy where the file is not compressed."""
    reader = open_table(path, columns)
    with reading(path):
        return reader.read_all()
