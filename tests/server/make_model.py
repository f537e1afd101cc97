"""Small model files for tests, written with the `gguf` package or byte by byte."""

import base64
import hashlib
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.server.catalogue import Wheel


def tiny_gguf(path: Path, *, seed: int = 0, architecture: str = "llama") -> Path:
    """A whole GGUF file with one tensor of 4 x 32 numbers."""
    from gguf import GGUFWriter

    writer = GGUFWriter(str(path), architecture)
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_file_type(1)
    writer.add_tensor("token_embd.weight", np.random.default_rng(seed).standard_normal((4, 32)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def wheel(folder: Path, package: str, members: Mapping[str, bytes], *, version: str = "1.0") -> Wheel:
    """Writes a wheel that pip takes; the members are stored as data of the package."""
    stem = package.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{name},sha256={_digest64(content)},{len(content)}" for name, content in files.items()]
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))
    content = path.read_bytes()
    return Wheel(package, version, len(content), hashlib.sha256(content).hexdigest())


def safetensors(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> Path:
    """The format's description: https://github.com/huggingface/safetensors#format."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + b"".join(v.tobytes() for v in tensors.values()))
    return path


def _digest64(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
