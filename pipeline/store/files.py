"""Durable files: written whole or not at all, flushed to the disk, with checksums.

In: paths, bytes, Arrow tables. Out: `FileRecord`s for the manifest, tables read back, OS errors as StorageErrors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Generator, Sequence
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
    return FileRecord(name=path.name, bytes=file_status(path).st_size, sha256=sha256_of(path))


def require_size(path: Path, record: FileRecord) -> os.stat_result:
    """The status of a recorded file. Raises CorruptCollection if it is missing, or not as long as it was."""
    status = file_status(path)
    if status.st_size != record.bytes:
        raise damaged(path, record)
    return status


def file_status(path: Path) -> os.stat_result:
    """Raises CorruptCollection for a file that is missing or may not be looked at."""
    with _looking_at(path):
        return path.stat()


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex. Raises CorruptCollection if it cannot be read."""
    with _looking_at(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged(path: Path, record: FileRecord) -> CorruptCollection:
    return CorruptCollection(
        f"{path} is damaged: it is not the file that was committed ({record.bytes} bytes)",
        hint="restore it from a backup, or remove the collection and index again",
    )


@contextlib.contextmanager
def _looking_at(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise CorruptCollection(
            f"{path} cannot be read: {error.strerror}",
            hint="restore it, or index the documents into a new collection",
        ) from error


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
