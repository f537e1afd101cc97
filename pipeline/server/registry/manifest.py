"""What a registry says a model is made of: the bytes of a manifest come in, the blobs that it names go out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipeline.server.models import DIGEST, MANIFEST_TYPE
from pipeline.server.registry.connection import RegistryError

__all__ = ["MANIFEST_TYPE", "NamedBlob", "blobs_of"]

TENSOR_TYPE = "application/vnd.ollama.image.tensor"
_NEEDS_MLX = "this model requires MLX support, but the MLX runtime is not available"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBlob:
    """`size` is in bytes; `origin` the model that the blob was taken from, if it was."""

    digest: str
    size: int
    origin: str


def blobs_of(manifest: bytes) -> list[NamedBlob]:
    """The layers and then the configuration, each digest once.

    Raises RegistryError for what is no manifest, and for a model in a form that only the real server has.
    """
    try:
        content = json.loads(manifest)
        parts: list[dict[str, Any]] = [*content["layers"], *([content["config"]] if content.get("config") else [])]
        if any(part.get("mediaType") == TENSOR_TYPE for part in parts):
            raise RegistryError(_NEEDS_MLX)
        blobs = [
            NamedBlob(digest=str(part["digest"]), size=int(part["size"]), origin=str(part.get("from") or ""))
            for part in parts
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"the registry's manifest cannot be read: {error!r}") from error
    if any(not DIGEST.fullmatch(blob.digest) or ":" not in blob.digest or blob.size < 0 for blob in blobs):
        raise RegistryError("invalid digest format")
    return list({blob.digest: blob for blob in blobs}.values())
