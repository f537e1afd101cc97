"""A segment: an immutable batch of whole documents with their chunks and vectors, as four Arrow files.

In (writer): documents with their chunks and vectors. Out (reader): memory-mapped vectors without a copy, passages by
row, documents, and rows by content hash.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import CorruptCollection, DimensionMismatch
from pipeline.store.files import (
    FileRecord,
    check_file,
    make_folder,
    map_table,
    sync_folder,
    write_table,
    writing,
)
from pipeline.store.layout import DOCUMENTS, HASHES, PASSAGES, SEGMENT_FILES, VECTORS, Layout
from pipeline.store.manifest import SegmentRecord
from pipeline.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PASSAGE_ROWS_PER_BATCH = 64
"""Small compressed batches, so that fetching one passage decompresses little."""

CHECKED_ON_OPEN = 64 * 2**20
"""Segments up to this many bytes have their checksums verified when they are opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow:
    """What is stored of a document. `mtime_ns` 0 means: do not trust the file's time, look at its content.

    `content_hash` is the SHA-256 of the file in hex, empty where a chunk failed and the document is to be tried again.
    """

    document_id: str
    path: str
    title: str
    format: str
    size: int
    mtime_ns: int
    content_hash: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A live document and where its chunks are: rows [first_row, first_row + rows) of a segment."""

    row: DocumentRow
    segment: str
    first_row: int
    rows: int


class SegmentBuilder:
    """Collects documents in memory until they are written as one segment."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.documents: list[tuple[DocumentRow, int, int]] = []
        self.dead = DeletedRows(rows=[], documents=[])
        self._chunks: list[tuple[str, Chunk]] = []
        self._vectors: list[NDArray[np.float32]] = []
        self._by_hash: dict[bytes, int] = {}

    @property
    def rows(self) -> int:
        return len(self._chunks)

    def add(
        self,
        document: DocumentRow,
        chunks: Sequence[Chunk],
        vectors: Sequence[NDArray[np.float32]],
        *,
        whole: bool = True,
    ) -> None:
        """Adds a document; `vectors[i]`, float32 of shape (dimension,), belongs to `chunks[i]`.

        Where it is not `whole`, its rows are dead from the start: nobody sees them, but their vectors are found by
        hash.
        """
        if not whole:
            self.dead.documents.append(len(self.documents))
            self.dead.rows.extend(range(len(self._chunks), len(self._chunks) + len(chunks)))
        self.documents.append((document, len(self._chunks), len(chunks)))
        for chunk, vector in zip(chunks, vectors, strict=True):
            if vector.shape != (self.dimension,):
                raise DimensionMismatch(
                    model="", expected=self.dimension, actual=vector.shape[-1], where="segment being written"
                )
            self._by_hash[chunk.content_hash] = len(self._chunks)
            self._chunks.append((document.path, chunk))
            self._vectors.append(vector)

    def vector_of(self, content_hash: bytes) -> NDArray[np.float32] | None:
        row = self._by_hash.get(content_hash)
        return None if row is None else self._vectors[row]

    def write(self, layout: Layout, segment_id: str) -> SegmentRecord:
        """Writes the segment into place, whole and flushed. It counts only once a manifest names it."""
        folder = layout.segment(segment_id)
        temporary = layout.segments / f".{segment_id}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        files = (
            write_table(temporary / VECTORS, self._vector_table(), compressed=False),
            write_table(
                temporary / PASSAGES,
                self._passage_table(),
                compressed=True,
                rows_per_batch=PASSAGE_ROWS_PER_BATCH,
            ),
            write_table(temporary / DOCUMENTS, self._document_table(), compressed=True),
            write_table(temporary / HASHES, self._hash_table(), compressed=False),
        )
        with writing(folder):
            sync_folder(temporary)
            temporary.rename(folder)
            sync_folder(layout.segments)
        record = SegmentRecord(id=segment_id, rows=self.rows, documents=len(self.documents), files=files)
        if not self.dead.documents:
            return record
        deleted = self.dead.write(layout.deleted(segment_id, int(segment_id)))
        return replace(record, deleted=deleted, deleted_rows=len(self.dead.rows))

    def _vector_table(self) -> pa.Table:
        import numpy as np  # noqa: PLC0415 - heavy
        import pyarrow as pa  # noqa: PLC0415 - heavy

        flat = np.concatenate(self._vectors) if self._vectors else np.empty(0, dtype=np.float32)
        column = pa.FixedSizeListArray.from_arrays(pa.array(flat, type=pa.float32()), self.dimension)
        return pa.table({"vector": column})

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

    def _hash_table(self) -> pa.Table:
        import numpy as np  # noqa: PLC0415 - heavy
        import pyarrow as pa  # noqa: PLC0415 - heavy

        hashes = [chunk.content_hash for _, chunk in self._chunks]
        keys = np.frombuffer(b"".join(digest[:8] for digest in hashes), dtype="<u8")
        order = np.argsort(keys, kind="stable")
        return pa.table(
            {
                "key": pa.array(keys[order], pa.uint64()),
                "row": pa.array(order.astype(np.uint32), pa.uint32()),
                "content_hash": pa.array([hashes[index] for index in order], pa.binary(16)),
            }
        )


class Segment:
    """A committed segment, read-only. Files are mapped when they are first needed.

    Raises CorruptCollection or DimensionMismatch when what is on disk is not what the manifest recorded.
    """

    def __init__(self, layout: Layout, record: SegmentRecord, *, model: str, dimension: int) -> None:
        self.record = record
        self.id = record.id
        self._folder = layout.segment(record.id)
        self._model = model
        self._dimension = dimension
        self._files = {file.name: file for file in record.files}
        if set(self._files) != set(SEGMENT_FILES):
            raise CorruptCollection(
                f"the manifest names other files for segment {record.id} than {', '.join(SEGMENT_FILES)}",
                hint="use the release that wrote it, or index the documents again",
            )
        small = sum(file.bytes for file in record.files) <= CHECKED_ON_OPEN
        for file in record.files:
            check_file(self._folder, file, checksum=small)
        if record.deleted is not None:
            check_file(self._folder, record.deleted, checksum=True)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Float32, shape (rows, dimension), mapped from the file without a copy; read-only."""
        import pyarrow as pa  # noqa: PLC0415 - heavy

        table = self._table(VECTORS)
        kind = table.schema.field("vector").type
        if not pa.types.is_fixed_size_list(kind) or kind.list_size != self._dimension:
            actual = kind.list_size if pa.types.is_fixed_size_list(kind) else 0
            raise DimensionMismatch(
                model=self._model, expected=self._dimension, actual=actual, where=f"segment {self.id}"
            )
        return (
            _only_chunk(table.column("vector"))
            .flatten()
            .to_numpy(zero_copy_only=True)
            .reshape(self.record.rows, self._dimension)
        )

    @cached_property
    def documents(self) -> list[StoredDocument]:
        """Every document of the segment, dead ones included, in row order."""
        return [
            StoredDocument(
                row=DocumentRow(
                    document_id=row["document_id"],
                    path=row["path"],
                    title=row["title"],
                    format=row["format"],
                    size=row["size"],
                    mtime_ns=row["mtime_ns"],
                    content_hash=row["content_hash"],
                    metadata=json.loads(row["metadata"]),
                ),
                segment=self.id,
                first_row=row["first_row"],
                rows=row["rows"],
            )
            for row in self._table(DOCUMENTS).to_pylist()
        ]

    @cached_property
    def deleted(self) -> DeletedRows:
        return DeletedRows.read(self._folder, self.record.deleted)

    @cached_property
    def live_mask(self) -> NDArray[np.bool_]:
        """Shape (rows,): whether each row still counts."""
        import numpy as np  # noqa: PLC0415 - heavy

        mask = np.ones(self.record.rows, dtype=np.bool_)
        mask[self.deleted.rows] = False
        return mask

    def passages(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The columns of `passages.arrow` for some rows, in the order asked."""
        import pyarrow as pa  # noqa: PLC0415 - heavy

        path = self._folder / PASSAGES
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            batches = {number: reader.get_batch(number) for number in {row // PASSAGE_ROWS_PER_BATCH for row in rows}}
            return [
                batches[row // PASSAGE_ROWS_PER_BATCH].slice(row % PASSAGE_ROWS_PER_BATCH, 1).to_pylist()[0]
                for row in rows
            ]
        except (pa.ArrowInvalid, OSError, IndexError) as error:
            raise CorruptCollection(
                f"{path} cannot be read: {error}", hint="restore it from a backup, or index again"
            ) from error

    def row_of(self, content_hash: bytes) -> int | None:
        """A row whose embedded text had this hash, dead or alive (a dead row's vector is as good)."""
        import numpy as np  # noqa: PLC0415 - heavy

        keys, rows, hashes = self._hashes
        key = np.frombuffer(content_hash[:8], dtype="<u8")[0]
        position = int(np.searchsorted(keys, key))
        while position < len(keys) and keys[position] == key:
            if hashes[position].as_py() == content_hash:
                return int(rows[position])
            position += 1
        return None

    @cached_property
    def _hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.uint32], pa.Array]:
        table = self._table(HASHES)
        return (
            _only_chunk(table.column("key")).to_numpy(),
            _only_chunk(table.column("row")).to_numpy(),
            _only_chunk(table.column("content_hash")),
        )

    def _table(self, name: str) -> pa.Table:
        table = map_table(self._folder / name)
        expected = self.record.documents if name == DOCUMENTS else self.record.rows
        if table.num_rows != expected:
            raise CorruptCollection(
                f"{self._folder / name} has {table.num_rows} rows, the manifest says {expected}",
                hint="restore it from a backup, or index again",
            )
        return table


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    """The column's one array as it lies in the file; joining chunks would copy it."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    return column.chunk(0) if column.num_chunks == 1 else pa.array([], column.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedRows:
    """Dead rows and dead documents of a segment: `rows` and `documents` are positions in its files."""

    rows: list[int]
    documents: list[int]

    @classmethod
    def read(cls, folder: Path, record: FileRecord | None) -> DeletedRows:
        if record is None:
            return cls(rows=[], documents=[])
        table = map_table(folder / record.name).to_pydict()
        return cls(
            rows=[value for value, kind in zip(table["position"], table["kind"], strict=True) if kind == "row"],
            documents=[
                value for value, kind in zip(table["position"], table["kind"], strict=True) if kind == "document"
            ],
        )

    def write(self, path: Path) -> FileRecord:
        import pyarrow as pa  # noqa: PLC0415 - heavy

        kinds = ["row"] * len(self.rows) + ["document"] * len(self.documents)
        table = pa.table(
            {
                "position": pa.array([*self.rows, *self.documents], pa.uint32()),
                "kind": pa.array(kinds, pa.string()),
            }
        )
        record = write_table(path, table, compressed=False)
        with writing(path):
            sync_folder(path.parent)
        return record
