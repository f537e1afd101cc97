"""Durable files: written whole or not at all, flushed to the disk, with checksums.

In: paths, bytes, Arrow tables. Out: `FileRecord`s for the manifest, tables read back, OS errors as StorageErrors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
import shutil
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

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


def write_table(path: Path, table: pa.Table) -> FileRecord:
    """Writes an Arrow IPC file of one batch, not compressed, and flushes it.

    Not atomic, as all that follow: the folder is renamed into place as a whole. Raises StorageUnwritable.
    """
    return _write_ipc(path, table.schema, [table], max(1, table.num_rows), compression=None)


def write_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], *, rows_per_batch: int) -> FileRecord:
    """Writes tables one after the other in small batches, compressed. Raises StorageUnwritable.

    All but the last have a number of rows that `rows_per_batch` divides, so that every batch but one is full.
    """
    return _write_ipc(path, schema, tables, rows_per_batch, compression="zstd")


def _write_ipc(
    path: Path, schema: pa.Schema, tables: Iterable[pa.Table], rows_per_batch: int, *, compression: str | None
) -> FileRecord:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    options = pa.ipc.IpcWriteOptions(compression=compression)
    with writing(path), pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        for table in tables:
            writer.write_table(table, max_chunksize=rows_per_batch)
    return flushed(path)


def write_matrix(
    path: Path, column: str, blocks: Iterable[bytes | memoryview], *, shape: tuple[int, int]
) -> FileRecord:
    """Writes float32 rows as one batch, as `write_table` would, without ever holding them in memory.

    `blocks` give the bytes of the rows in order. Raises StorageUnwritable.
    """
    import pyarrow as pa  # noqa: PLC0415 - heavy

    rows, width = shape
    size = rows * width * 4
    # Never touched, it takes no memory: the sink writes the rows where Arrow hands it this buffer.
    stand_in = pa.py_buffer(mmap.mmap(-1, size)) if size else pa.py_buffer(b"")
    values = pa.Array.from_buffers(pa.float32(), rows * width, [None, stand_in])
    table = pa.table({column: pa.FixedSizeListArray.from_arrays(values, width)})
    with writing(path), path.open("wb") as file:
        sink = _SubstitutingSink(file, stand_in, blocks)
        with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), table.schema) as writer:
            writer.write_table(table)
        if size and sink.substituted != size:
            raise AssertionError(f"{sink.substituted} bytes of vectors were written instead of {size}")
    return flushed(path)


class _SubstitutingSink:
    """A file for Arrow to write to, in which other bytes take the place of one buffer."""

    closed = False

    def __init__(self, file: BinaryIO, stand_in: pa.Buffer, blocks: Iterable[bytes | memoryview]) -> None:
        self._file = file
        self._stand_in = stand_in
        self._blocks = blocks
        self.substituted = 0

    def write(self, data: bytes | pa.Buffer) -> int:
        if isinstance(data, bytes) or data.address != self._stand_in.address:
            self._file.write(data)
        else:
            for block in self._blocks:
                self._file.write(block)
                self.substituted += len(block)
        return len(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Arrow closes what it has written to; whoever opened the file closes it."""


def flushed(path: Path) -> FileRecord:
    """What the manifest records of a file that has just been written, once it is safe on the disk.

    Raises StorageUnwritable.
    """
    with writing(path):
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return FileRecord(name=path.name, bytes=file_status(path).st_size, sha256=sha256_of(path))


def link_file(source: Path, target: Path) -> None:
    """A second name for a file that never changes, or a flushed copy where the file system has no such thing.

    Raises StorageUnwritable.
    """
    with writing(target):
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise
            shutil.copyfile(source, target)
            flushed(target)


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
