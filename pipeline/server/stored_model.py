"""A model as the store knows it, and a GGUF file that is none of the store's as such a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import EngineError
from pipeline.server.gguf_header import read_header
from pipeline.server.model_config import configuration

SAMPLES, SAMPLE_BYTES = 256, 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    """As `/api/tags` shows them."""

    family: str
    families: tuple[str, ...]
    format: str
    parameter_size: str
    quantization_level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """`digest` is the SHA-256 of the manifest in hex, `size` the sum of its blobs in bytes.

    `parent` is the name of the model or file it was made from, if it was.
    """

    name: str
    digest: str
    size: int
    modified_at: datetime
    model_path: Path
    template: str | None
    system: str | None
    parameters: Mapping[str, Any]
    license: str | None
    details: ModelDetails
    messages: tuple[Mapping[str, str], ...] = ()
    parent: str = ""


def from_file(path: Path) -> StoredModel:
    """A GGUF file that is in no store, as a model by its path. Raises EngineError if it cannot be read."""
    try:
        state = path.stat()
        digest = _file_digest(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise EngineError(
            f"model file {path} cannot be read: {error.strerror}", hint="correct --model or --chat-model"
        ) from error
    config = configuration(read_header(path), [])
    return StoredModel(
        name=str(path),
        digest=digest,
        size=state.st_size,
        modified_at=datetime.fromtimestamp(state.st_mtime, UTC).astimezone(),
        model_path=path,
        template=None,
        system=None,
        parameters={},
        license=None,
        details=details_of(config),
    )


@lru_cache(maxsize=32)
def _file_digest(path: Path, size: int, modified: int) -> str:
    """SHA-256 of the size and of samples all over the file: another training changes all weights, and so the samples.

    The whole of a large file would take seconds at each start.
    """
    del modified  # part of the cache key only
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for sample in range(SAMPLES):
            file.seek(sample * max(0, size - SAMPLE_BYTES) // (SAMPLES - 1))
            digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def details_of(config: Mapping[str, Any]) -> ModelDetails:
    """From the configuration that is stored with a model."""
    return ModelDetails(
        family=str(config.get("model_family") or ""),
        families=tuple(config.get("model_families") or ()),
        format=str(config.get("model_format") or "gguf"),
        parameter_size=str(config.get("model_type") or ""),
        quantization_level=str(config.get("file_type") or ""),
    )
