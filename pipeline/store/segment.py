"""A committed segment: an immutable batch of whole documents with their chunks and vectors, as five Arrow files.

In: a folder and what the manifest records of it. Out: memory-mapped vectors without a copy, passages and documents by
position, and rows by content hash. `builder.py` writes what is read here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import CorruptCollection, DimensionMismatch
from pipeline.store.files import (
    FileRecord,
    map_table,
    open_table,
    reading,
    require_size,
    sync_folder,
    write_table,
    writing,
)
from pipeline.store.hashes import hash_table
from pipeline.store.layout import DERIVED, DOCUMENTS, HASHES, PASSAGES, PATHS, SEGMENT_FILES, VECTORS, Layout
from pipeline.store.manifest import SegmentRecord
from pipeline.store.passing import PassingVectors
from pipeline.store.paths import STORED, PathTable, path_table
from pipeline.store.verified import VerifiedFiles

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ROWS_PER_BATCH = 64
"""Small compressed batches, so that fetching one passage or document decompresses little."""


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
    """A document and where it is: the `position` in its segment, its chunks in rows [first_row, first_row + rows)."""

    row: DocumentRow
    segment: str
    position: int
    first_row: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeletedRows:
    """Dead rows and dead documents of a segment: positions in its files, ascending, uint32."""

    rows: NDArray[np.uint32]
    documents: NDArray[np.uint32]

    @classmethod
    def of(cls, rows: Sequence[int], documents: Sequence[int]) -> DeletedRows:
        import numpy as np  # noqa: PLC0415 - heavy

        # Not np.unique: the first call of it imports NumPy's masked arrays, which a search does not need.
        return cls(rows=np.array(sorted(set(rows)), np.uint32), documents=np.array(sorted(set(documents)), np.uint32))

    @classmethod
    def read(cls, path: Path) -> DeletedRows:
        """Raises CorruptCollection."""
        import numpy as np  # noqa: PLC0415 - heavy

        table = map_table(path)
        positions = table.column("position").to_numpy()
        kinds = _only_chunk(table.column("kind")).dictionary_encode()
        is_row = np.array([kind == "row" for kind in kinds.dictionary.to_pylist()], np.bool_)[kinds.indices.to_numpy()]
        return cls(rows=positions[is_row], documents=positions[~is_row])

    def joined(self, other: DeletedRows) -> DeletedRows:
        import numpy as np  # noqa: PLC0415 - heavy

        return DeletedRows(
            rows=np.union1d(self.rows, other.rows), documents=np.union1d(self.documents, other.documents)
        )

    def write(self, path: Path) -> FileRecord:
        import numpy as np  # noqa: PLC0415 - heavy
        import pyarrow as pa  # noqa: PLC0415 - heavy

        kinds = ["row"] * len(self.rows) + ["document"] * len(self.documents)
        table = pa.table(
            {
                "position": pa.array(np.concatenate([self.rows, self.documents]), pa.uint32()),
                "kind": pa.array(kinds, pa.string()),
            }
        )
        record = write_table(path, table)
        with writing(path):
            sync_folder(path.parent)
        return record


class Segment:
    """A committed segment, read-only. Its files are mapped, and their checksums verified, when they are first needed.

    Raises CorruptCollection or DimensionMismatch when what is on disk is not what the manifest recorded.
    """

    def __init__(
        self, layout: Layout, record: SegmentRecord, *, model: str, dimension: int, verified: VerifiedFiles
    ) -> None:
        self.record = record
        self.id = record.id
        self._folder = layout.segment(record.id)
        self._model = model
        self._dimension = dimension
        self._verified = verified
        self._files = {file.name: file for file in record.files}
        self._hashes_file = (0, 0)
        if set(self._files) - {PATHS} != set(SEGMENT_FILES):
            raise CorruptCollection(
                f"the manifest names other files for segment {record.id} than {', '.join(SEGMENT_FILES)}",
                hint="use the release that wrote it, or index the documents again",
            )
        self.require_sizes()
        # Read now: unlike the four, this file is removed once later manifests name others.
        self._deleted = DeletedRows.read(verified.require(self._folder, record.deleted)) if record.deleted else None

    def require_sizes(self) -> None:
        """Raises CorruptCollection if a file is missing or not as long as it was: it must not be read as mapped.

        Those that follow from others may be: a search has no use for them, and a writer makes them again first.
        """
        for file in self.record.files:
            if file.name not in DERIVED:
                require_size(self._folder / file.name, file)
        if "hashes" in vars(self) and self._hashes_file != _identity(self._folder / HASHES):
            # It has been cut, or made again: what is mapped is no longer what is there.
            del self.hashes

    @property
    def index_file(self) -> tuple[Path, Mapping[str, Any]] | None:
        """The file of its approximate index, if it has one, and what its builder said of it."""
        if self.record.index is None:
            return None
        return self._verified.require(self._folder, self.record.index.file), self.record.index.facts

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Float32, shape (rows, dimension), mapped from the file without a copy; read-only."""
        values = self._vector_values(self._table(VECTORS))
        return values.to_numpy(zero_copy_only=True).reshape(self.record.rows, self._dimension)

    @cached_property
    def passing_vectors(self) -> PassingVectors:
        """The same, for whoever goes through them or wants some only once: read where they are asked for."""
        path, offset = self._vector_bytes()
        return PassingVectors(path, offset, (self.record.rows, self._dimension))

    def _vector_values(self, table: pa.Table) -> pa.FloatArray:
        import pyarrow as pa  # noqa: PLC0415 - heavy

        kind = table.schema.field("vector").type
        if not pa.types.is_fixed_size_list(kind) or kind.list_size != self._dimension:
            actual = kind.list_size if pa.types.is_fixed_size_list(kind) else 0
            raise DimensionMismatch(
                model=self._model, expected=self._dimension, actual=actual, where=f"segment {self.id}"
            )
        # Not `flatten`, for which pyarrow would first import its compute functions.
        return _only_chunk(table.column("vector")).values

    def stored_documents(self) -> Iterator[StoredDocument]:
        """Every document of the segment, dead ones included, in order of position."""
        position = 0
        for batch in self.document_batches():
            for columns in batch.to_pylist():
                yield self._stored(position, columns)
                position += 1

    def stored_document(self, position: int) -> StoredDocument:
        """One document, by its position."""
        return self._stored(position, self._at(DOCUMENTS, [position])[0])

    @property
    def has_path_table(self) -> bool:
        """Whether its documents are listed by path on disk."""
        return PATHS in self._files

    def path_table(self) -> PathTable:
        """Its documents by path, dead ones included: mapped, or in memory where that is not on disk."""
        return PathTable.of(self._table(PATHS) if self.has_path_table else self.made_again(PATHS))

    def made_again(self, name: str) -> pa.Table:
        """One of the tables that follow from the others, from those. Raises CorruptCollection."""
        if name == PATHS:
            return path_table(self.document_columns(*STORED))
        return hash_table(hashes.tobytes() for hashes in self.hash_batches())

    def document_columns(self, *columns: str) -> pa.Table:
        """Some columns of all documents, dead ones included, in order of position."""
        import pyarrow as pa  # noqa: PLC0415 - heavy

        fields = [self.schema(DOCUMENTS).field(name) for name in columns]
        return pa.Table.from_batches(
            [batch.select(columns) for batch in self.document_batches(*columns)], pa.schema(fields)
        )

    def document_batches(self, *columns: str) -> Iterator[pa.RecordBatch]:
        """`documents.arrow`, with some of its columns or all, a few rows at a time."""
        return self._batches(DOCUMENTS, columns)

    def passage_batches(self, *columns: str) -> Iterator[pa.RecordBatch]:
        """`passages.arrow`, likewise."""
        return self._batches(PASSAGES, columns)

    def hash_batches(self) -> Iterator[NDArray[np.void]]:
        """The content hashes of all rows in order, of 16 bytes each, a few rows at a time."""
        import numpy as np  # noqa: PLC0415 - heavy

        for batch in self.passage_batches("content_hash"):
            column = batch.column("content_hash")
            yield np.frombuffer(column.buffers()[1], "V16")[column.offset : column.offset + len(column)]

    def schema(self, name: str) -> pa.Schema:
        """The columns of one of its files."""
        return open_table(self._file(name)).schema

    def _vector_bytes(self) -> tuple[Path, int]:
        """The file that holds the vectors and where in it they start, row after row of little-endian float32."""
        import pyarrow as pa  # noqa: PLC0415 - heavy

        path = self._file(VECTORS)
        with reading(path):
            mapped = pa.memory_map(str(path))
            whole = mapped.read_buffer(mapped.size())
            values = self._vector_values(pa.ipc.open_file(whole).read_all()).buffers()[1]
        return path, values.address - whole.address if values is not None else 0

    def _batches(self, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        path = self._file(name)
        reader = open_table(path, columns)
        rows = 0
        for number in range(reader.num_record_batches):
            with reading(path):
                batch = reader.get_batch(number)
            rows += batch.num_rows
            yield batch
        self._require_rows(name, rows)

    def _stored(self, position: int, columns: dict[str, Any]) -> StoredDocument:
        place = {"first_row": columns.pop("first_row"), "rows": columns.pop("rows")}
        row = DocumentRow(**{**columns, "metadata": json.loads(columns["metadata"])})
        return StoredDocument(row=row, segment=self.id, position=position, **place)

    @property
    def deleted(self) -> DeletedRows:
        """What no longer counts."""
        return self._deleted or DeletedRows.of([], [])

    @property
    def live_documents(self) -> NDArray[np.uint32]:
        """Positions of the documents that still count, ascending."""
        import numpy as np  # noqa: PLC0415 - heavy

        every = np.arange(self.record.documents, dtype=np.uint32)
        return np.setdiff1d(every, self.deleted.documents, assume_unique=True)

    @cached_property
    def live_mask(self) -> NDArray[np.bool_]:
        """Shape (rows,): whether each row still counts."""
        import numpy as np  # noqa: PLC0415 - heavy

        mask = np.ones(self.record.rows, dtype=np.bool_)
        mask[self.deleted.rows] = False
        return mask

    def passages(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The columns of `passages.arrow` for some rows, in the order asked."""
        return self._at(PASSAGES, rows)

    def chunk_ids(self, rows: Sequence[int]) -> list[str]:
        """The ids of the chunks in some rows, in the order asked."""
        return [columns["chunk_id"] for columns in self._at(PASSAGES, rows, "chunk_id")]

    def content_hashes(self, rows: Sequence[int]) -> list[bytes]:
        """The hashes of what was embedded for some rows, in the order asked."""
        return [columns["content_hash"] for columns in self._at(PASSAGES, rows, "content_hash")]

    def _at(self, name: str, positions: Sequence[int], *columns: str) -> list[dict[str, Any]]:
        path = self._file(name)
        reader = open_table(path, columns)
        with reading(path):
            batches = {number: reader.get_batch(number) for number in {at // ROWS_PER_BATCH for at in positions}}
            return [batches[at // ROWS_PER_BATCH].slice(at % ROWS_PER_BATCH, 1).to_pylist()[0] for at in positions]

    def rows_of(self, content_hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Rows whose embedded text had one of these hashes, dead or alive (a dead row's vector is as good)."""
        import numpy as np  # noqa: PLC0415 - heavy

        keys, rows, hashes = self.hashes
        wanted = np.frombuffer(b"".join(digest[:8] for digest in content_hashes), dtype="<u8")
        positions = np.searchsorted(keys, wanted)
        inside = np.flatnonzero(positions < len(keys))
        found: dict[bytes, int] = {}
        for index in inside[keys[positions[inside]] == wanted[inside]].tolist():
            position = int(positions[index])
            while position < len(keys) and keys[position] == wanted[index]:
                if hashes[position].as_py() == content_hashes[index]:
                    found[content_hashes[index]] = int(rows[position])
                    break
                position += 1
        return found

    @cached_property
    def hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.uint32], pa.Array]:
        self._hashes_file = _identity(self._folder / HASHES)
        table = self._table(HASHES)
        return (
            _only_chunk(table.column("key")).to_numpy(),
            _only_chunk(table.column("row")).to_numpy(),
            _only_chunk(table.column("content_hash")),
        )

    def _table(self, name: str) -> pa.Table:
        table = map_table(self._file(name))
        self._require_rows(name, table.num_rows)
        return table

    def is_sound(self, name: str) -> bool:
        """Whether a file is the one that was committed."""
        try:
            self._file(name)
        except CorruptCollection:
            return False
        return True

    def _file(self, name: str) -> Path:
        return self._verified.require(self._folder, self._files[name])

    def _require_rows(self, name: str, rows: int) -> None:
        expected = self.record.documents if name in (DOCUMENTS, PATHS) else self.record.rows
        if rows != expected:
            raise CorruptCollection(
                f"{self._folder / name} has {rows} rows, the manifest says {expected}",
                hint="restore it from a backup, or index again",
            )


def _identity(path: Path) -> tuple[int, int]:
    """Which file is at a path, and how long it is; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_size


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    """The column's one array as it lies in the file; joining chunks would copy it."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    return column.chunk(0) if column.num_chunks == 1 else pa.array([], column.type)
