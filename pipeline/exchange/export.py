"""Writes a collection to a file that other programs read: every live passage with its document and its vector.

In: a snapshot, a path or a stream. Out: a file or folder in its place, whole or not at all, and an `ExportReport`.
Memory is that of one batch of rows, whatever the collection's size.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.errors import CorruptCollection, StorageUnwritable, UsageError
from pipeline.exchange.formats import (
    FACTS_FILE,
    JSONL,
    NUMPY,
    PARQUET,
    PASSAGES_FILE,
    VECTORS_FILE,
    Facts,
    facts_beside,
    format_of,
)
from pipeline.exchange.sinks import JsonlSink, NumpySink, ParquetSink, Row, Sink
from pipeline.store import Snapshot, StoredDocument
from pipeline.store.files import sync_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Progress = Callable[[int], None]
"""Called with the number of rows that have just been written."""

_EXPORTED_FILES = {VECTORS_FILE, PASSAGES_FILE, FACTS_FILE}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """`bytes` counts what was written: of a folder, all that is in it."""

    collection: str
    output: str
    format: str
    documents: int
    passages: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export_collection(
    snapshot: Snapshot,
    output: Path,
    *,
    format: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Writes the collection to `output`, as `format` ("parquet", "jsonl", "numpy") or what its suffix says.

    Raises:
        UsageError: no format is told, or `output` is there (without `overwrite`) or is something else.
        StorageUnwritable: it cannot be written; what was there before stays.
        CorruptCollection: the collection is damaged; what was there before stays.
    """
    kind = format_of(output, format)
    if kind == NUMPY and output.suffix.lower() == ".npy":
        raise UsageError(
            f"as NumPy files a collection becomes a folder, and {output.name!r} is a file's name",
            hint=f"give a folder's name, such as {output.with_suffix('.numpy').name}",
        )
    _require_free(output, kind, overwrite=overwrite)
    facts = Facts.of(snapshot)
    with _in_place(output) as temporary:
        sink = _sink(kind, temporary, facts)
        try:
            documents = _write(snapshot, sink, progress)
        finally:
            sink.close()
        size = _flush(temporary)
        if kind == JSONL:
            # Facts of another collection must never stand beside these lines, whatever happens now.
            facts_beside(output).unlink(missing_ok=True)
    if kind == JSONL:
        with _in_place(facts_beside(output)) as temporary:
            temporary.write_bytes(facts.to_json())
            _flush(temporary)
    return ExportReport(
        collection=snapshot.name,
        output=str(output),
        format=kind,
        documents=documents,
        passages=facts.rows,
        bytes=size,
    )


def export_lines(snapshot: Snapshot, stream: BinaryIO, *, progress: Progress | None = None) -> None:
    """Writes the collection to an open stream as JSON lines. Raises CorruptCollection, and OSError of the stream."""
    _write(snapshot, JsonlSink(stream), progress)
    stream.flush()


def _sink(kind: str, path: Path, facts: Facts) -> Sink:
    if kind == PARQUET:
        return ParquetSink(path, facts)
    return JsonlSink.to_file(path) if kind == JSONL else NumpySink(path, facts)


def _write(snapshot: Snapshot, sink: Sink, progress: Progress | None) -> int:
    """Writes every live row, and gives the number of documents."""
    written = documents = 0
    last: StoredDocument | None = None
    for run in _runs(snapshot, sink.rows_at_once):
        rows, vectors = _read(snapshot, run)
        sink.write(rows, vectors)
        written += len(rows)
        for document, _ in run:
            # One that is split over two runs is the same object in both.
            documents += document is not last
            last = document
        if progress is not None:
            progress(len(rows))
    if written != snapshot.manifest.live_rows:
        raise CorruptCollection(
            f"collection {snapshot.name!r} has {written} passages, its manifest says {snapshot.manifest.live_rows}",
            hint="restore it from a backup, or index the documents into a new collection",
        )
    return documents


def _runs(snapshot: Snapshot, at_once: int) -> Iterator[list[tuple[StoredDocument, range]]]:
    """Live documents with the rows of each that come next: together up to `at_once` rows, all of one segment."""
    run: list[tuple[StoredDocument, range]] = []
    held = 0
    for document in snapshot.documents():
        if run and run[-1][0].segment != document.segment:
            yield run
            run, held = [], 0
        start, end = document.first_row, document.first_row + document.rows
        while start < end:
            part = range(start, min(end, start + at_once - held))
            run.append((document, part))
            held += len(part)
            start = part.stop
            if held == at_once:
                yield run
                run, held = [], 0
    if run:
        yield run


def _read(snapshot: Snapshot, run: list[tuple[StoredDocument, range]]) -> tuple[list[Row], NDArray[np.float32]]:
    segment = snapshot.segment_of(run[0][0])
    positions = [row for _, part in run for row in part]
    documents = [document.row for document, part in run for _ in part]
    rows: list[Row] = []
    for document, passage in zip(documents, segment.passages(positions), strict=True):
        rows.append(
            {
                **passage,
                "content_hash": passage["content_hash"].hex(),
                "title": document.title,
                "format": document.format,
                "metadata": json.dumps(dict(document.metadata), ensure_ascii=False),
                "size": document.size,
                "mtime_ns": document.mtime_ns,
                "document_hash": document.content_hash,
            }
        )
    return rows, segment.vectors[positions]


def _require_free(output: Path, kind: str, *, overwrite: bool) -> None:
    """Raises UsageError unless something may be written in the place of `output`."""
    try:
        mode = output.lstat().st_mode
    except OSError:
        return
    if not overwrite:
        raise UsageError(f"{output} is there already", hint="give another --output, or --force to replace it")
    if kind == NUMPY:
        if not stat.S_ISDIR(mode) or {entry.name for entry in output.iterdir()} - _EXPORTED_FILES:
            raise UsageError(f"{output} is not a folder that was exported: it is not replaced", hint="give another one")
    elif not stat.S_ISREG(mode):
        raise UsageError(f"{output} is not a file: it is not replaced", hint="give another --output")


@contextmanager
def _in_place(output: Path) -> Generator[Path]:
    """A temporary place beside `output`, which becomes it when the block has ended well, and is removed otherwise."""
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        _remove(temporary)
        yield temporary
        if output.is_dir():
            aside = output.with_name(f".{output.name}.{os.getpid()}.old")
            output.rename(aside)
            temporary.rename(output)
            _remove(aside)
        else:
            temporary.replace(output)
        sync_folder(output.parent)
    except OSError as error:
        raise StorageUnwritable(
            f"cannot write {output}: {error.strerror or error}",
            hint="free some space there, or give another --output; nothing of it has been left behind",
        ) from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> int:
    """Flushes a file, or a folder of files, to the disk, and gives its size."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    if path.is_dir():
        sync_folder(path)
    return sum(file.stat().st_size for file in files)
