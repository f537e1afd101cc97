"""The header of a GGUF file: a path comes in, its metadata and the number of its parameters go out.

Reads only the header, whatever the file's size. The format is that of ggml's docs/gguf.md, versions 2 and 3. (The
`gguf` package's reader builds an object for each element of each array: 1.5 s for a vocabulary of 150,000 tokens.)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.errors import EngineError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_FIELDS = 100_000
MOST_ELEMENTS = 10_000_000
LONGEST_STRING = 64 * 2**20

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
FLOAT32, STRING, ARRAY = 6, 8, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """`parameter_count` is the number of elements of all tensors, which are (name, number of the type, shape)."""

    metadata: Mapping[str, Any]
    parameter_count: int
    tensor_count: int
    tensors: tuple[tuple[str, int, tuple[int, ...]], ...] = ()


def read_header(path: Path) -> Header:
    """Raises EngineError if `path` is no GGUF file, or its header is cut or absurd."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except (OSError, struct.error, UnicodeDecodeError, _Absurd) as error:
        raise EngineError(
            f"unable to load model: {path} is not a whole GGUF file ({error})", hint="pull or create the model again"
        ) from error


class _Absurd(ValueError):
    pass


def _read(file: BinaryIO) -> Header:
    if file.read(4) != MAGIC:
        raise _Absurd("it does not start with GGUF")
    version, tensors, fields = _unpack(file, "<IQQ")
    if version not in VERSIONS:
        raise _Absurd(f"version {version} is not known")
    if tensors > MOST_FIELDS or fields > MOST_FIELDS:
        raise _Absurd("it names too many tensors or fields")
    metadata: dict[str, Any] = {}
    for _ in range(fields):
        key = _string(file)
        (kind,) = _unpack(file, "<I")
        metadata[key] = _value(file, kind, depth=0)
    found: list[tuple[str, int, tuple[int, ...]]] = []
    for _ in range(tensors):
        name = _string(file)
        (dimensions,) = _unpack(file, "<I")
        if dimensions > 8:
            raise _Absurd("a tensor has too many dimensions")
        shape = _unpack(file, f"<{dimensions}Q")
        kind, _ = _unpack(file, "<IQ")
        found.append((name, kind, shape))
    count = sum(math.prod(shape) for _, _, shape in found)
    return Header(metadata=metadata, parameter_count=count, tensor_count=tensors, tensors=tuple(found))


def _value(file: BinaryIO, kind: int, *, depth: int) -> Any:
    if kind == FLOAT32:  # the shortest number that means the same in 32 bits: 1e-05, not 9.999999747378752e-06
        return float(str(np.float32(_unpack(file, "<f")[0])))
    if kind in SCALARS:
        return _unpack(file, "<" + SCALARS[kind])[0]
    if kind == STRING:
        return _string(file)
    if kind != ARRAY or depth > 2:
        raise _Absurd(f"a field has the unknown type {kind}")
    element, count = _unpack(file, "<IQ")
    if count > MOST_ELEMENTS:
        raise _Absurd("an array is too long")
    if element in SCALARS:
        return list(_unpack(file, f"<{count}{SCALARS[element]}"))
    return [_value(file, element, depth=depth + 1) for _ in range(count)]


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<Q")
    if length > LONGEST_STRING:
        raise _Absurd("a text is too long")
    return _exactly(file, length).decode("utf-8", "replace")


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, _exactly(file, struct.calcsize(layout)))


def _exactly(file: BinaryIO, length: int) -> bytes:
    content = file.read(length)
    if len(content) != length:
        raise _Absurd("it is cut short")
    return content
