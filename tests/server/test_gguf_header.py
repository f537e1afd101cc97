"""Headers of GGUF files: those that the `gguf` package writes, and hostile ones made byte by byte."""

import struct
import time
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFValueType, GGUFWriter

from pipeline.errors import EngineError
from pipeline.server import ModelStore
from pipeline.server.gguf_header import read_header
from tests.server.conftest import CHAT, EMBED
from tests.server.make_model import tiny_gguf

UINT32, FLOAT32, STRING, ARRAY = 4, 6, 8, 9
FIELDS: dict[str, tuple[GGUFValueType, Any]] = {
    "a.uint8": (GGUFValueType.UINT8, 255),
    "a.int8": (GGUFValueType.INT8, -128),
    "a.uint16": (GGUFValueType.UINT16, 65535),
    "a.int16": (GGUFValueType.INT16, -32768),
    "a.uint32": (GGUFValueType.UINT32, 2**32 - 1),
    "a.int32": (GGUFValueType.INT32, -(2**31)),
    "a.uint64": (GGUFValueType.UINT64, 2**64 - 1),
    "a.int64": (GGUFValueType.INT64, -(2**63)),
    "a.float32": (GGUFValueType.FLOAT32, 0.5),
    "a.float64": (GGUFValueType.FLOAT64, 0.1),
    "a.bool": (GGUFValueType.BOOL, True),
    "a.string": (GGUFValueType.STRING, "naïve \U0001f600"),
}


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(*, magic: bytes = b"GGUF", version: int = 3, tensors: int = 0, fields: int = 0, rest: bytes = b"") -> bytes:
    return magic + struct.pack("<IQQ", version, tensors, fields) + rest


def field(kind: int, value: bytes) -> bytes:
    return text(b"key") + struct.pack("<I", kind) + value


def test_every_kind_of_value(tmp_path: Path) -> None:
    """Scalars of all types and lists of them come back as they were written."""
    path = tmp_path / "all.gguf"
    writer = GGUFWriter(str(path), "llama")
    for name, (kind, value) in FIELDS.items():
        writer.add_key_value(name, value, kind)
    writer.add_array("a.texts", ["", "one", "zwei"])
    writer.add_array("a.numbers", [1, 2, 3])
    writer.add_array("a.floats", [0.5, -1.0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_header(path).metadata
    assert {name: found[name] for name in FIELDS} == {name: value for name, (_, value) in FIELDS.items()}
    assert (found["a.texts"], found["a.numbers"], found["a.floats"]) == (["", "one", "zwei"], [1, 2, 3], [0.5, -1.0])
    assert found["general.architecture"] == "llama"


def test_lists_of_lists_and_version_2(tmp_path: Path) -> None:
    """The format allows lists in lists, and version 2 differs in nothing that is read here."""
    inner = struct.pack("<IQ", UINT32, 2) + struct.pack("<II", 7, 8)
    path = tmp_path / "nested.gguf"
    path.write_bytes(header(version=2, fields=1, rest=field(ARRAY, struct.pack("<IQ", ARRAY, 2) + inner + inner)))
    assert read_header(path).metadata == {"key": [[7, 8], [7, 8]]}


def test_parameters_are_counted(tmp_path: Path) -> None:
    """The number of elements of all tensors; published numbers of the two models of these tests."""
    small = read_header(tiny_gguf(tmp_path / "tiny.gguf"))
    assert (small.parameter_count, small.tensor_count) == (128, 1)


@pytest.mark.parametrize(("name", "expected"), [(EMBED, 22_565_376), (CHAT, 134_515_008)])
def test_parameters_of_real_models(store: ModelStore, name: str, expected: int) -> None:
    """As the `gguf` package's own reader counts them."""
    from gguf import GGUFReader

    model = store.find(name)
    assert model is not None
    header = read_header(model.model_path)
    reader = GGUFReader(model.model_path)
    assert header.parameter_count == sum(int(tensor.n_elements) for tensor in reader.tensors) == expected
    assert header.tensor_count == len(reader.tensors)
    assert set(header.metadata) == {key for key in reader.fields if not key.startswith("GGUF.")}


HOSTILE = {
    "empty": b"",
    "only the magic": b"GGUF",
    "other magic": header(magic=b"PK\x03\x04"),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "version 1": header(version=1),
    "too many tensors": header(tensors=2**63),
    "too many fields": header(fields=2**40),
    "endless text": header(fields=1, rest=struct.pack("<Q", 2**62)),
    "long text, cut": header(fields=1, rest=struct.pack("<Q", 60 * 2**20) + b"x"),
    "endless list": header(fields=1, rest=field(ARRAY, struct.pack("<IQ", UINT32, 2**60))),
    "long list, cut": header(fields=1, rest=field(ARRAY, struct.pack("<IQ", UINT32, 9_000_000))),
    "unknown type": header(fields=1, rest=field(13, b"\0" * 16)),
    "list of an unknown type": header(fields=1, rest=field(ARRAY, struct.pack("<IQ", 77, 1) + b"\0" * 16)),
    "lists without an end": header(fields=1, rest=field(ARRAY, struct.pack("<IQ", ARRAY, 1) * 1000)),
    "cut in a number": header(fields=1, rest=field(FLOAT32, b"\0\0")),
    "cut before a value": header(fields=1, rest=text(b"key")),
    "many dimensions": header(tensors=1, rest=text(b"t") + struct.pack("<I", 2**31)),
    "cut in a tensor": header(tensors=1, rest=text(b"t") + struct.pack("<IQ", 2, 4)),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_headers(tmp_path: Path, content: bytes) -> None:
    """Each is refused with the file's name and a hint, quickly, whatever sizes it claims."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    started = time.monotonic()
    with pytest.raises(EngineError) as caught:
        read_header(path)
    assert time.monotonic() - started < 5
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    """A header that ends early, wherever, is an error and never a shorter header."""
    whole = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    end = whole.index(b"token_embd.weight") + len("token_embd.weight") + 4 + 2 * 8 + 4 + 8
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[:end])
    read_header(path)
    for length in range(end):
        path.write_bytes(whole[:length])
        with pytest.raises(EngineError):
            read_header(path)


def test_missing_file(tmp_path: Path) -> None:
    """No traceback for a path that is not there."""
    with pytest.raises(EngineError, match="No such file"):
        read_header(tmp_path / "none.gguf")
