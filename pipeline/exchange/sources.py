"""Files being read, a batch of rows at a time: Parquet, JSON lines, NumPy.

In: a path and the names of its columns. Out: `Rows`, whose numbers count from 1 (in JSON lines: the line). What a file
must be for its vectors to be one matrix is checked here; what its values mean, in `passages.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import DimensionMismatch, ReadError, UsageError
from pipeline.exchange.formats import (
    FACTS_FILE,
    FACTS_KEY,
    JSONL,
    NUMPY,
    OF_DOCUMENT,
    OF_PASSAGE,
    PARQUET,
    PASSAGES_FILE,
    VECTORS_FILE,
    Columns,
    Facts,
    facts_beside,
    format_of,
    read_facts,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ROWS_AT_ONCE = 1024
LONGEST_LINE = 64 * 2**20
BUFFER_BYTES = 2**20
"""Of each column of a Parquet file: without a buffer, whole columns of a row group are read into memory."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Row `first + i` has `columns[i]` and `vectors[i]`: float32, (rows, dimension), as in the file."""

    first: int
    columns: list[dict[str, Any]]
    vectors: NDArray[np.float32]


class Source(Protocol):
    """`dimension` is that of the first vector; `count` the number of rows, None where only reading tells.

    `names` are those of the columns: of JSON lines, of the first line, and all that came up once they have been read.
    """

    path: Path
    format: str
    facts: Facts | None
    columns: Columns
    names: set[str]
    dimension: int
    count: int | None

    def rows(self) -> Iterator[Rows]: ...


def open_source(path: Path, columns: Columns, format: str | None = None) -> Source:
    """The file or folder at `path`. Raises ReadError, and UsageError for columns that it does not have."""
    kind = NUMPY if format is None and path.is_dir() else format_of(path, format)
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="give the path of a file to import")
    if kind == PARQUET:
        return ParquetSource(path, columns)
    return JsonlSource(path, columns) if kind == JSONL else NumpySource(path, columns)


def bad_row(path: Path, row: int, reason: str) -> ReadError:
    return ReadError(
        f"{path}, row {row}: {reason}", path=path, hint="correct that row and import again; nothing has been imported"
    )


class ParquetSource:
    format = PARQUET

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        self.columns = columns
        with _parquet_errors(path):
            file = self._open()
            schema = file.schema_arrow
            self.count: int | None = int(file.metadata.num_rows)
        self.names = set(schema.names)
        said = (schema.metadata or {}).get(FACTS_KEY.encode())
        self.facts = Facts.from_json(said, path) if said is not None else None
        _require_columns(path, columns, self.names)
        if len(self.names) != len(schema.names):
            raise ReadError("has two columns of one name", path=path, hint="rename one of them")
        kind = schema.field(columns.vector).type
        _require_numbers(path, columns.vector, kind)
        if not self.count:
            raise _empty(path)
        self.dimension = self._dimension(kind)

    def rows(self) -> Iterator[Rows]:
        wanted = [self.columns.vector, *self.columns.read(self.names, with_facts=self.facts is not None)]
        with _parquet_errors(self.path):
            first = 1
            for batch in self._open().iter_batches(ROWS_AT_ONCE, columns=wanted, use_threads=False):
                vectors = self._matrix(batch.column(self.columns.vector), first)
                others = batch.select([name for name in batch.schema.names if name != self.columns.vector])
                yield Rows(first, others.to_pylist(), vectors)
                first += batch.num_rows

    def _open(self) -> Any:
        import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

        return pq.ParquetFile(
            str(self.path), buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True
        )

    def _dimension(self, kind: pa.DataType) -> int:
        import pyarrow as pa  # noqa: PLC0415 - heavy

        if pa.types.is_fixed_size_list(kind):
            return kind.list_size
        with _parquet_errors(self.path):
            batch = next(self._open().iter_batches(1, columns=[self.columns.vector], use_threads=False))
        first = batch.column(0)[0]
        if not first.is_valid:
            raise bad_row(self.path, 1, f"there is no {self.columns.vector}")
        return len(first)

    def _matrix(self, column: pa.Array, first: int) -> NDArray[np.float32]:
        import numpy as np  # noqa: PLC0415 - heavy
        import pyarrow as pa  # noqa: PLC0415 - heavy

        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise bad_row(self.path, first + row, f"there is no {self.columns.vector}")
        if not pa.types.is_fixed_size_list(column.type):
            lengths = column.value_lengths().to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(lengths != self.dimension)[:1]:
                raise _other_dimension(self, first + int(row), int(lengths[row]))
        numbers = column.flatten()
        if numbers.null_count:
            place = int(np.flatnonzero(numbers.is_null().to_numpy(zero_copy_only=False))[0])
            raise bad_row(self.path, first + place // self.dimension, f"{self.columns.vector} has a null in it")
        return _as_float32(numbers.to_numpy(zero_copy_only=False)).reshape(len(column), self.dimension)


class JsonlSource:
    format = JSONL
    count: int | None = None

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        self.columns = columns
        self.facts = read_facts(facts_beside(path), path)
        first = next(_lines(path), None)
        if first is None:
            raise _empty(path)
        names, _, vector = _parsed(path, 1, first, frozenset(), columns.vector)
        self.names = set(names)
        _require_columns(path, columns, self.names)
        assert vector is not None
        self.dimension = len(vector)

    def rows(self) -> Iterator[Rows]:
        import numpy as np  # noqa: PLC0415 - heavy

        wanted = _wanted(self)
        lines = enumerate(_lines(self.path), 1)
        while group := list(islice(lines, ROWS_AT_ONCE)):
            columns: list[dict[str, Any]] = []
            vectors = np.empty((len(group), self.dimension), np.float32)
            for index, (number, line) in enumerate(group):
                names, values, vector = _parsed(self.path, number, line, wanted, self.columns.vector)
                _note_names(self, number, names)
                if vector is None:
                    raise bad_row(self.path, number, f"there is no {self.columns.vector}")
                if len(vector) != self.dimension:
                    raise _other_dimension(self, number, len(vector))
                columns.append(values)
                vectors[index] = _as_float32(vector)
            yield Rows(group[0][0], columns, vectors)


class NumpySource:
    """A folder with `vectors.npy` and `passages.jsonl`, or a file `NAME.npy` with `NAME.jsonl` beside it."""

    format = NUMPY

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        self.columns = columns
        if path.is_dir():
            array, self._passages, facts = path / VECTORS_FILE, path / PASSAGES_FILE, path / FACTS_FILE
        else:
            array, self._passages, facts = path, path.with_suffix(".jsonl"), facts_beside(path)
        self.facts = read_facts(facts, path)
        self._vectors = _mapped_matrix(array)
        self.count: int | None = len(self._vectors)
        self.dimension = self._vectors.shape[1]
        first = next(_lines(self._passages), None)
        if first is None:
            raise _empty(self._passages)
        names, _, _ = _parsed(self._passages, 1, first, frozenset(), None)
        self.names = set(names)
        _require_columns(self._passages, columns, self.names | {columns.vector})

    def rows(self) -> Iterator[Rows]:
        wanted = _wanted(self)
        lines = enumerate(_lines(self._passages), 1)
        done = 0
        while group := list(islice(lines, ROWS_AT_ONCE)):
            columns: list[dict[str, Any]] = []
            for number, line in group:
                names, values, _ = _parsed(self._passages, number, line, wanted, None)
                _note_names(self, number, names)
                columns.append(values)
            vectors = self._vectors[done : done + len(group)]
            done += len(group)
            if len(vectors) == len(columns):
                yield Rows(group[0][0], columns, _as_float32(vectors))
        if done != self.count:
            raise ReadError(
                f"{self.path} has {self.count} vectors and {done} lines of passages",
                path=self.path,
                hint="give each vector the passage in the line of its number",
            )


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, split at line feeds only, without them."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise bad_row(path, number, f"the line is longer than {LONGEST_LINE // 2**20} MiB")
                yield line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
    except OSError as error:
        raise ReadError(
            f"cannot read {path}: {error.strerror or error}", path=path, hint="check that it is there and readable"
        ) from error


def _parsed(
    path: Path, number: int, line: bytes, wanted: frozenset[str], vector: str | None
) -> tuple[list[str], dict[str, Any], NDArray[np.float64] | None]:
    """The names in a line, the values of those that are `wanted`, and its vector."""
    import numpy as np  # noqa: PLC0415 - heavy
    import simdjson  # noqa: PLC0415 - only where JSON lines are read

    try:
        content: Any = simdjson.Parser().parse(line)
        if not isinstance(content, simdjson.Object):
            raise bad_row(path, number, "is not a JSON object")
        names: list[str] = list(content.keys())
        values = {name: _plain(content[name]) for name in names if name in wanted}
        numbers = None
        if vector is not None and vector in names:
            found = content[vector]
            if not isinstance(found, simdjson.Array):
                raise bad_row(path, number, f"{vector} is not a list of numbers")
            numbers = np.frombuffer(found.as_buffer(of_type="d"), np.float64)
            if len(numbers) != len(found):
                raise bad_row(path, number, f"{vector} is a list of lists")
    except (ValueError, TypeError, RuntimeError, UnicodeError) as error:
        reason = "is empty" if not line.strip() else f"cannot be read: {error}"
        raise bad_row(path, number, reason) from error
    return names, values, numbers


def _wanted(source: Source) -> frozenset[str]:
    """The columns to read of JSON lines, those included that the first line does not have."""
    names = source.names | set(OF_DOCUMENT) | set(OF_PASSAGE)
    return frozenset(source.columns.read(names, with_facts=source.facts is not None))


def _note_names(source: Source, number: int, names: list[str]) -> None:
    if source.columns.path_in(source.names) is None and source.columns.path_in(names) is not None:
        raise bad_row(source.path, number, "has a path, and the first row has none")
    source.names.update(names)


def _plain(value: Any) -> Any:
    import simdjson  # noqa: PLC0415 - only where JSON lines are read

    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return value.as_list() if isinstance(value, simdjson.Array) else value


def _mapped_matrix(path: Path) -> NDArray[Any]:
    import numpy as np  # noqa: PLC0415 - heavy

    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ReadError(
            f"cannot read {path} as a NumPy array: {reason}", path=path, hint="save it with numpy.save"
        ) from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise ReadError(
            f"{path} holds {matrix.dtype} of shape {matrix.shape}, not a vector of numbers a row",
            path=path,
            hint="save an array of float32 and shape (rows, dimension)",
        )
    if not len(matrix):
        raise _empty(path)
    return matrix


def _as_float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """What is too large for float32 becomes infinite, and is refused as such later."""
    import numpy as np  # noqa: PLC0415 - heavy

    with np.errstate(over="ignore"):
        return np.ascontiguousarray(numbers, np.float32)


def _require_columns(path: Path, columns: Columns, names: set[str]) -> None:
    for option, name in (("text", columns.text), ("vector", columns.vector), ("path", columns.path)):
        if name is not None and name not in names:
            raise UsageError(
                f"{path} has no column {name!r}; it has {', '.join(sorted(names)) or 'none'}",
                hint=f"name the column with --{option}-column",
            )


def _require_numbers(path: Path, name: str, kind: pa.DataType) -> None:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    types = pa.types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not is_list or not (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)):
        raise UsageError(
            f"column {name!r} of {path} is {kind}, not a list of numbers",
            hint="name the column of the vectors with --vector-column, or store them as a list of float32",
        )


def _other_dimension(source: Source, row: int, actual: int) -> DimensionMismatch:
    return DimensionMismatch(
        model=source.facts.model.name if source.facts else "",
        expected=source.dimension,
        actual=actual,
        where=f"{source.path}, row {row}",
        hint="every vector must have as many numbers as the first one; nothing has been imported",
    )


def _empty(path: Path) -> ReadError:
    return ReadError(f"{path} has no rows", path=path, hint="there is nothing to import")


@contextmanager
def _parquet_errors(path: Path) -> Generator[None]:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ReadError(
            f"{path} cannot be read as Parquet: {' '.join(str(error).split())}",
            path=path,
            hint="check that it is whole, and a Parquet file",
        ) from error
