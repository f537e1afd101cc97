"""Files being written, a batch of passages at a time: Parquet, JSON lines, NumPy.

In: rows as dictionaries and their vectors. Out: files that are complete once `close` has returned.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self

from pipeline.exchange.formats import FACTS_FILE, FACTS_KEY, PASSAGES_FILE, VECTORS_FILE, Facts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Row = dict[str, Any]


class Sink(Protocol):
    """`rows_at_once` is how many rows it likes to be given together: what it holds in memory."""

    rows_at_once: int

    def write(self, rows: list[Row], vectors: NDArray[np.float32]) -> None: ...
    def close(self) -> None: ...


class ParquetSink:
    """One row group for each batch."""

    rows_at_once = 4096

    def __init__(self, path: Path, facts: Facts) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

        self._schema = _schema(facts)
        self._dimension = facts.model.dimension
        # Vectors do not get smaller by compression, only slower to read.
        compression = dict.fromkeys(self._schema.names, "zstd") | {
            "heading_path.list.element": "zstd",
            "vector.list.element": "none",
        }
        options: dict[str, Any] = {
            "compression": compression,
            "use_dictionary": ["path", "title", "format", "metadata"],
        }
        self._writer = pq.ParquetWriter(str(path), self._schema, write_page_checksum=True, **options)

    def write(self, rows: list[Row], vectors: NDArray[np.float32]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - heavy

        arrays = [pa.array([row[field.name] for row in rows], field.type) for field in list(self._schema)[:-1]]
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self._dimension))
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(rows))

    def close(self) -> None:
        self._writer.close()


class JsonlSink:
    """A JSON object a line, to a file or to standard output, which is left open."""

    rows_at_once = 512

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    @classmethod
    def to_file(cls, path: Path) -> Self:
        return cls(path.open("wb"))

    def write(self, rows: list[Row], vectors: NDArray[np.float32]) -> None:
        lines = [
            f'{json.dumps(row, ensure_ascii=False)[:-1]}, "vector": [{numbers}]}}\n'
            for row, numbers in zip(rows, _as_json_numbers(vectors), strict=True)
        ]
        self._stream.write("".join(lines).encode())

    def close(self) -> None:
        self._stream.close()


class NumpySink:
    """A folder: the vectors as one array, float32 of shape (rows, dimension), and the passages as JSON lines."""

    rows_at_once = 2048

    def __init__(self, folder: Path, facts: Facts) -> None:
        import numpy as np  # noqa: PLC0415 - heavy

        folder.mkdir()
        (folder / FACTS_FILE).write_bytes(facts.to_json())
        self._passages = (folder / PASSAGES_FILE).open("wb")
        self._vectors = (folder / VECTORS_FILE).open("wb")
        header = {"descr": "<f4", "fortran_order": False, "shape": (facts.rows, facts.model.dimension)}
        np.lib.format.write_array_header_2_0(self._vectors, header)

    def write(self, rows: list[Row], vectors: NDArray[np.float32]) -> None:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        self._passages.write("".join(lines).encode())
        self._vectors.write(vectors.astype("<f4", copy=False).tobytes())

    def close(self) -> None:
        self._passages.close()
        self._vectors.close()


def _schema(facts: Facts) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    return pa.schema(
        [
            ("chunk_id", pa.string()),
            ("document_id", pa.string()),
            ("path", pa.string()),
            ("title", pa.string()),
            ("format", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("start_line", pa.int32()),
            ("end_line", pa.int32()),
            ("page", pa.int32()),
            ("end_page", pa.int32()),
            ("heading_path", pa.list_(pa.string())),
            ("text", pa.string()),
            ("content_hash", pa.string()),
            ("metadata", pa.string()),
            ("size", pa.int64()),
            ("mtime_ns", pa.int64()),
            ("document_hash", pa.string()),
            ("vector", pa.list_(pa.float32(), facts.model.dimension)),
        ],
        metadata={FACTS_KEY: facts.to_json()},
    )


def _as_json_numbers(vectors: NDArray[np.float32]) -> list[str]:
    """Each row's numbers, separated by commas: the shortest that give the same float32 when they are read.

    Most readers parse them to doubles first. A short decimal that would then round to another float32 is rare (one in
    some billions, all near zero), but it exists: such a batch is written with the digits of doubles.
    """
    import numpy as np  # noqa: PLC0415 - heavy
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.compute as pc  # noqa: PLC0415 - heavy

    count, dimension = vectors.shape
    flat = pa.array(vectors.ravel())
    numbers = flat.cast(pa.string())
    if not numbers.cast(pa.float64()).cast(pa.float32()).equals(flat):
        numbers = flat.cast(pa.float64()).cast(pa.string())
    offsets = pa.array(np.arange(0, count * dimension + 1, dimension, dtype=np.int32))
    rows = pa.ListArray.from_arrays(offsets, numbers)
    joined = pc.binary_join(rows, ", ")  # pyright: ignore[reportAttributeAccessIssue] - made when it is imported
    return joined.to_pylist()
