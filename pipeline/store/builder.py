"""A segment in the making: collects documents in memory and writes them as five Arrow files.

In: documents with their chunks and vectors. Out: a folder in its place, and the `SegmentRecord` for the manifest.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import DimensionMismatch
from pipeline.interrupts import interrupts_deferred
from pipeline.store.files import make_folder, sync_folder, write_matrix, write_table, write_tables, writing
from pipeline.store.hashes import hash_table
from pipeline.store.layout import DOCUMENTS, HASHES, PASSAGES, PATHS, VECTORS, Layout
from pipeline.store.manifest import SegmentRecord
from pipeline.store.paths import path_table
from pipeline.store.segment import ROWS_PER_BATCH, DeletedRows, DocumentRow
from pipeline.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class SegmentBuilder:
    """Collects documents in memory until they are written as one segment."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.documents: list[tuple[DocumentRow, int, int]] = []
        self._dead_rows: list[int] = []
        self._dead_documents: list[int] = []
        self._chunks: list[tuple[str, Chunk]] = []
        self._vectors: list[NDArray[np.float32]] = []
        self._by_hash: dict[bytes, int] = {}

    @property
    def rows(self) -> int:
        return len(self._chunks)

    @property
    def live_paths(self) -> set[str]:
        """Paths of the documents that will count."""
        dead = set(self._dead_documents)
        return {row.path for position, (row, _, _) in enumerate(self.documents) if position not in dead}

    def add(
        self,
        document: DocumentRow,
        chunks: Sequence[Chunk],
        vectors: Sequence[NDArray[np.float32]],
        *,
        whole: bool = True,
    ) -> None:
        """Adds a document or, where it raises, nothing; `vectors[i]`, float32 (dimension,), belongs to `chunks[i]`.

        Where it is not `whole`, its rows are dead from the start: nobody sees them, but their vectors are found by
        hash.
        """
        if len(chunks) != len(vectors):
            raise ValueError(f"{len(chunks)} chunks with {len(vectors)} vectors")
        for vector in vectors:
            if vector.shape != (self.dimension,):
                raise DimensionMismatch(
                    model="", expected=self.dimension, actual=vector.shape[-1], where="segment being written"
                )
        rows = range(self.rows, self.rows + len(chunks))
        with interrupts_deferred():
            if not whole:
                self._dead_documents.append(len(self.documents))
                self._dead_rows.extend(rows)
            self.documents.append((document, rows.start, len(rows)))
            self._by_hash.update(zip((chunk.content_hash for chunk in chunks), rows, strict=True))
            self._chunks.extend((document.path, chunk) for chunk in chunks)
            self._vectors.extend(vectors)

    def vector_of(self, content_hash: bytes) -> NDArray[np.float32] | None:
        row = self._by_hash.get(content_hash)
        return None if row is None else self._vectors[row]

    def write(self, layout: Layout, generation: int) -> SegmentRecord:
        """Writes the segment into place, whole and flushed. It counts only once a manifest names it.

        Raises StorageUnwritable.
        """
        segment_id = layout.segment_id(generation)
        passages, documents = self._passage_table(), self._document_table()
        hashes = [chunk.content_hash for _, chunk in self._chunks]
        with segment_in_place(layout, segment_id) as folder:
            files = (
                write_matrix(
                    folder / VECTORS,
                    "vector",
                    (vector.tobytes() for vector in self._vectors),
                    shape=(self.rows, self.dimension),
                ),
                write_tables(folder / PASSAGES, passages.schema, [passages], rows_per_batch=ROWS_PER_BATCH),
                write_tables(folder / DOCUMENTS, documents.schema, [documents], rows_per_batch=ROWS_PER_BATCH),
                write_table(folder / HASHES, hash_table(hashes)),
                write_table(folder / PATHS, path_table(documents)),
            )
        record = SegmentRecord(id=segment_id, rows=self.rows, documents=len(self.documents), files=files)
        if not self._dead_documents:
            return record
        dead = DeletedRows.of(self._dead_rows, self._dead_documents)
        deleted = dead.write(layout.deleted(segment_id, generation))
        return replace(record, deleted=deleted, deleted_rows=len(self._dead_rows))

    def _passage_table(self) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415 - heavy

        return pa.table(
            {
                "chunk_id": pa.array([chunk.chunk_id for _, chunk in self._chunks], pa.string()),
                "document_id": pa.array([chunk.document_id for _, chunk in self._chunks], pa.string()),
                "path": pa.array([path for path, _ in self._chunks], pa.string()),
                "start": pa.array([chunk.start for _, chunk in self._chunks], pa.int64()),
                "end": pa.array([chunk.end for _, chunk in self._chunks], pa.int64()),
                "start_line": pa.array([chunk.start_line for _, chunk in self._chunks], pa.int32()),
                "end_line": pa.array([chunk.end_line for _, chunk in self._chunks], pa.int32()),
                "page": pa.array([chunk.page for _, chunk in self._chunks], pa.int32()),
                "end_page": pa.array([chunk.end_page for _, chunk in self._chunks], pa.int32()),
                "heading_path": pa.array(
                    [list(chunk.heading_path) for _, chunk in self._chunks], pa.list_(pa.string())
                ),
                "text": pa.array([chunk.text for _, chunk in self._chunks], pa.string()),
                "content_hash": pa.array([chunk.content_hash for _, chunk in self._chunks], pa.binary(16)),
            }
        )

    def _document_table(self) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415 - heavy

        rows = [row for row, _, _ in self.documents]
        return pa.table(
            {
                "document_id": pa.array([row.document_id for row in rows], pa.string()),
                "path": pa.array([row.path for row in rows], pa.string()),
                "title": pa.array([row.title for row in rows], pa.string()),
                "format": pa.array([row.format for row in rows], pa.string()),
                "size": pa.array([row.size for row in rows], pa.int64()),
                "mtime_ns": pa.array([row.mtime_ns for row in rows], pa.int64()),
                "content_hash": pa.array([row.content_hash for row in rows], pa.string()),
                "metadata": pa.array([json.dumps(dict(row.metadata), ensure_ascii=False) for row in rows], pa.string()),
                "first_row": pa.array([first for _, first, _ in self.documents], pa.int64()),
                "rows": pa.array([count for _, _, count in self.documents], pa.int64()),
            }
        )


@contextlib.contextmanager
def segment_in_place(layout: Layout, segment_id: str) -> Generator[Path]:
    """A hidden folder to write a segment's files into, which is renamed into place once they are all there.

    Raises StorageUnwritable.
    """
    folder = layout.segment(segment_id)
    temporary = layout.segments / f".{segment_id}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    make_folder(temporary)
    yield temporary
    with writing(folder):
        sync_folder(temporary)
        temporary.rename(folder)
        sync_folder(layout.segments)
