"""What the rows of a file mean: documents with their chunks and vectors, as a collection stores them.

In: a `Source`. Out: `ImportedDocument`s in the order of the file, each whole. Every value is checked; the first row
that cannot be taken is named in the error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pipeline.embed.checks import UNIT_TOLERANCE
from pipeline.errors import BadVector
from pipeline.exchange.formats import OF_DOCUMENT
from pipeline.exchange.sources import Rows, Source, bad_row
from pipeline.store import DocumentRow
from pipeline.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Value = TypeVar("Value")

PART_ROWS = 4096
"""A file without a path column becomes documents of so many rows."""

MOST_ROWS = 65_536
"""Of one document, which is held in memory until it is stored."""

INT32, INT64 = 2**31 - 1, 2**63 - 1
KINDS: dict[type, str] = {str: "a text", int: "a whole number"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedDocument:
    """A document, its chunks, and a vector for each: float32, (chunks, dimension), unit norm.

    `first` is the number of its first row, `normalised` how many of its vectors had another length.
    """

    row: DocumentRow
    chunks: list[Chunk]
    vectors: NDArray[np.float32]
    first: int
    normalised: int


@dataclass(slots=True)
class _Group:
    """A document whose rows are still coming in."""

    path: str
    first: int
    described: dict[str, Any]
    document_id: str
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    vectors: list[NDArray[np.float32]] = field(default_factory=list[Any])
    chunk_ids: set[str] = field(default_factory=set[str])
    normalised: int = 0


def documents_of(source: Source) -> Iterator[ImportedDocument]:
    """The documents of a file: runs of rows with one path, or parts of the file where it has no paths.

    Raises ReadError, BadVector or DimensionMismatch, naming the row.
    """
    reader = _Reader(source)
    for rows in source.rows():
        vectors, changed = unit_rows(source.path, rows)
        for index, columns in enumerate(rows.columns):
            number = rows.first + index
            if (finished := reader.turn_to(number, columns)) is not None:
                yield finished
            reader.add(number, columns, vectors[index], normalised=bool(changed[index]))
    if (finished := reader.finished()) is not None:
        yield finished


def unit_rows(path: Path, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The vectors with unit norm, and which of them had another: those that have it stay as they are, to the bit.

    Raises BadVector.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    vectors = rows.vectors
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    for index in np.flatnonzero(~np.isfinite(norms) | (norms == 0))[:1]:
        fault = "is all zero" if norms[index] == 0 else "holds NaN, an infinity, or a number too large for float32"
        raise BadVector(
            f"{path}, row {rows.first + int(index)}: the vector {fault}",
            hint="take that row out or embed its text again; nothing has been imported",
        )
    changed = np.abs(norms - 1) > UNIT_TOLERANCE
    if changed.any():
        vectors = vectors.copy()
        vectors[changed] = (vectors[changed] / norms[changed, None]).astype(np.float32)
    return vectors, changed


class _Reader:
    """Groups the rows of a file to documents."""

    def __init__(self, source: Source) -> None:
        self._file = source.path
        self._format = source.format
        self._uri = file_uri(source.path)
        self._path_column = source.columns.path_in(source.names)
        self._text_column = source.columns.text
        self._group: _Group | None = None

    def turn_to(self, number: int, columns: Mapping[str, Any]) -> ImportedDocument | None:
        """The document before row `number`, if one ends there."""
        path = self._path(number, columns)
        described = {name: columns.get(name) for name in OF_DOCUMENT}
        group = self._group
        if group is not None and group.path == path:
            for name, value in described.items():
                if value != group.described[name]:
                    reason = f"{name} is not what row {group.first} says, which has the same path {path!r}"
                    raise bad_row(self._file, number, reason)
            return None
        finished = self.finished()
        document_id = self._read(number, columns, "document_id", str, "") or _id_of(path)
        self._group = _Group(path, number, described, document_id)
        return finished

    def finished(self) -> ImportedDocument | None:
        """The document that has been read, if any."""
        import numpy as np  # noqa: PLC0415 - heavy

        group = self._group
        if group is None:
            return None
        return ImportedDocument(
            row=self._document(group),
            chunks=group.chunks,
            vectors=np.stack(group.vectors),
            first=group.first,
            normalised=group.normalised,
        )

    def add(self, number: int, columns: Mapping[str, Any], vector: NDArray[np.float32], *, normalised: bool) -> None:
        group = self._group
        assert group is not None
        if len(group.chunks) == MOST_ROWS:
            reason = f"is one more than the {MOST_ROWS} rows that a document ({group.path!r}) may have"
            raise bad_row(self._file, number, reason)
        chunk = self._chunk(number, columns, group)
        if chunk.chunk_id in group.chunk_ids:
            raise bad_row(self._file, number, f"the chunk_id {chunk.chunk_id!r} stands in an earlier row")
        group.chunk_ids.add(chunk.chunk_id)
        group.chunks.append(chunk)
        group.vectors.append(vector)
        group.normalised += normalised

    def _path(self, number: int, columns: Mapping[str, Any]) -> str:
        if self._path_column is None:
            part = (number - 1) // PART_ROWS * PART_ROWS + 1
            return self._uri if part == 1 else f"{self._uri}#{part}"
        path = self._read(number, columns, self._path_column, str)
        if not path:
            raise bad_row(self._file, number, f"there is no {self._path_column}")
        return path

    def _document(self, group: _Group) -> DocumentRow:
        columns, number = group.described, group.first
        said = self._read(number, columns, "document_hash", str)
        return DocumentRow(
            document_id=group.document_id,
            path=group.path,
            title=self._read(number, columns, "title", str, "") or Path(group.path).name or group.path,
            format=self._read(number, columns, "format", str, "") or self._format,
            size=self._count(number, columns, "size", 0, INT64, 0),
            mtime_ns=self._count(number, columns, "mtime_ns", -INT64, INT64, 0),
            content_hash=_content_of(group) if said is None else said,
            metadata=self._metadata(number, columns),
        )

    def _chunk(self, number: int, columns: Mapping[str, Any], group: _Group) -> Chunk:
        text = self._read(number, columns, self._text_column, str)
        if not text:
            raise bad_row(self._file, number, f"there is no {self._text_column}")
        # Where the file does not say, passages lie one after the other, a line each.
        after = group.chunks[-1].end + 1 if group.chunks else 0
        line = number if self._path_column is None else len(group.chunks) + 1
        start = self._count(number, columns, "start", 0, INT64 - len(text), after)
        first_line = self._count(number, columns, "start_line", 1, INT32, line)
        content_hash = self._content_hash(number, columns, text)
        place = f"{group.document_id}:{start}:{len(group.chunks)}:".encode()
        page, end_page = columns.get("page"), columns.get("end_page")
        return Chunk(
            chunk_id=self._read(number, columns, "chunk_id", str, "") or _digest(place + content_hash, 8).hex(),
            document_id=group.document_id,
            start=start,
            end=self._count(number, columns, "end", start, INT64, start + len(text)),
            text=text,
            heading_path=self._headings(number, columns),
            start_line=first_line,
            end_line=self._count(number, columns, "end_line", first_line, INT32, first_line),
            embedded_text=text,
            content_hash=content_hash,
            page=None if page is None else self._count(number, columns, "page", 0, INT32, 0),
            end_page=None if end_page is None else self._count(number, columns, "end_page", page or 0, INT32, 0),
        )

    def _content_hash(self, number: int, columns: Mapping[str, Any], text: str) -> bytes:
        said = self._read(number, columns, "content_hash", str)
        if said is None:
            return _digest(text.encode(), 16)
        try:
            found = bytes.fromhex(said)
        except ValueError:
            found = b""
        if len(found) != 16:
            raise bad_row(self._file, number, "content_hash is not 32 hexadecimal digits")
        return found

    def _headings(self, number: int, columns: Mapping[str, Any]) -> tuple[str, ...]:
        found = columns.get("heading_path")
        if found is None:
            return ()
        if not isinstance(found, list):
            raise bad_row(self._file, number, "heading_path is not a list of texts")
        parts = [self._checked(number, "heading_path", part, str) for part in cast("list[Any]", found)]
        return tuple(parts)

    def _metadata(self, number: int, columns: Mapping[str, Any]) -> dict[str, str]:
        found = columns.get("metadata")
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except ValueError:
                found = found or None
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise bad_row(self._file, number, "metadata is neither an object nor the JSON text of one")
        values = cast("dict[str, Any]", found)
        texts = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            for name, value in values.items()
            if value is not None
        }
        return {self._checked(number, "metadata", name, str): text for name, text in texts.items()}

    def _read(
        self, number: int, columns: Mapping[str, Any], name: str, kind: type[Value], default: Value | None = None
    ) -> Value | None:
        """The value of a column, of the right type; `default` where it is null or missing."""
        value = columns.get(name)
        return default if value is None else self._checked(number, name, value, kind)

    def _checked(self, number: int, name: str, value: Any, kind: type[Value]) -> Value:
        if type(value) is not kind:
            raise bad_row(self._file, number, f"{name} is {value!r:.40}, not {KINDS[kind]}")
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise bad_row(self._file, number, f"{name} is not valid Unicode") from None
        return value

    def _count(self, number: int, columns: Mapping[str, Any], name: str, least: int, most: int, default: int) -> int:
        value = self._read(number, columns, name, int)
        if value is None:
            return default
        if not least <= value <= most:
            raise bad_row(self._file, number, f"{name} is {value}, not from {least} to {most}")
        return value


def file_uri(path: Path) -> str:
    """`file:///data/vectors.parquet`: unlike a path, it lies below no folder that `index` looks into."""
    return path.absolute().resolve().as_uri()


def _content_of(group: _Group) -> str:
    """SHA-256 of what was imported, in place of that of a file."""
    content = hashlib.sha256()
    for chunk, vector in zip(group.chunks, group.vectors, strict=True):
        content.update(f"{chunk.chunk_id} {chunk.start} {chunk.end} ".encode())
        content.update(chunk.content_hash + vector.tobytes())
    return content.hexdigest()


def _id_of(path: str) -> str:
    return _digest(path.encode(), 8).hex()


def _digest(content: bytes, size: int) -> bytes:
    return hashlib.blake2b(content, digest_size=size).digest()
