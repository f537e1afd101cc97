"""What a model is made of, for `create`: uploaded files, or a stored model's weights, come in; its layer goes out.

A GGUF file is taken as it is, the folder of a BERT-type model is converted, and either is brought to another precision.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import EngineError
from pipeline.server import decode
from pipeline.server.blobs import INVALID_DIGEST
from pipeline.server.convert import FILE_TYPES, convert_bert
from pipeline.server.exchange import Refusal, Request
from pipeline.server.gguf_header import MAGIC, Header, read_header
from pipeline.server.model_config import QUANTIZATIONS
from pipeline.server.model_folder import WEIGHTS_ENDING, bert_files
from pipeline.server.models import DIGEST, LAYER_TYPE, ModelStore
from pipeline.server.progress import Line
from pipeline.server.quantize import requantize

Layer = dict[str, Any]
Making = Generator[Line, None, Layer]
"""Lines of progress, and then the layer."""

CONVERTED = "F16"
"""What safetensors become, as with the real server, unless another precision is asked for."""
NEW = "new"
"""A layer with this key was not in the store before. It is not written down."""

_NOT_GGUF = "supplied file was not in GGUF format"
_NO_MODEL_KINDS = ("adapter", "projector", "mmproj")
_QUANTIZATIONS = ("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0")
_NOT_QUANTIZED = ("F32", "F16", "BF16")
_QUANTIZING_DIGEST = "0000000000000000000"  # the real server's


def check_files(files: Mapping[str, Any]) -> None:
    for name, digest in files.items():
        place = PurePosixPath(name)
        if not name or place.is_absolute() or ".." in place.parts or place.as_posix() != name:
            raise Refusal(400, "file path must be relative")
        if not decode.string(digest, "CreateRequest.files"):
            raise Refusal(400, INVALID_DIGEST)


def layer_of_files(store: ModelStore, request: Request, name: str, files: Mapping[str, str]) -> Making:
    """The model's layer; `name` is what a converted model calls itself."""
    for place, digest in files.items():
        if place.endswith(WEIGHTS_ENDING):
            return (yield from _converted(store, request, name, files))
        if place.endswith(".gguf") or _holds_gguf(store, digest):
            if len(files) > 1:
                raise Refusal(400, "the embedded server takes one GGUF file only: merge the parts first")
            yield {"status": "parsing GGUF"}
            return _gguf_layer(store, place, digest)
    raise Refusal(400, "unknown type")


def quantized(store: ModelStore, request: Request, layer: Layer, wanted: str) -> Making:
    """The layer in the precision `wanted`, which is empty where nothing is asked for."""
    wanted = wanted.upper()
    if not wanted:
        return layer
    if wanted not in _QUANTIZATIONS:
        kinds = ", ".join(_QUANTIZATIONS)
        raise Refusal(500, f"unsupported quantization type {wanted} - supported types are {kinds}")
    source = store.blob_path(layer["digest"])
    present = QUANTIZATIONS.get(int(read_header(source).metadata.get("general.file_type", -1)), "unknown")
    if present not in _NOT_QUANTIZED:
        raise Refusal(500, "quantization is only supported for F16, BF16 and F32 models")
    if wanted == present:
        return layer
    if wanted not in FILE_TYPES:
        kinds = ", ".join(FILE_TYPES)
        raise Refusal(400, f"the embedded server quantizes to {kinds} only: upload a file that is {wanted} already")
    with store.scratch() as folder:
        target = folder / "model.gguf"
        status, total = f"quantizing {present} model to {wanted}", layer["size"]
        for done in requantize(source, target, wanted):
            request.cancellation.check()
            yield {"status": status, "digest": _QUANTIZING_DIGEST, "total": total, "completed": min(done, total)}
        yield {"status": "verifying conversion"}
        return _stored(store, target, origin=layer.get("from", ""))


def _converted(store: ModelStore, request: Request, name: str, files: Mapping[str, str]) -> Making:
    yield {"status": "converting model"}
    places = {place: _blob(store, digest) for place, digest in files.items()}
    for path in places.values():
        if not path.is_file():
            raise Refusal(500, f"open {path}: no such file or directory")
    with store.scratch() as folder:
        target = folder / "model.gguf"
        convert_bert(bert_files(name, places, precision=CONVERTED), target)
        request.cancellation.check()
        return _stored(store, target)


def _stored(store: ModelStore, path: Path, *, origin: str = "") -> Layer:
    layer, is_new = store.add_file("model", path)
    return {**layer, NEW: is_new, **({"from": origin} if origin else {})}


def _gguf_layer(store: ModelStore, place: str, digest: str) -> Layer:
    path = _blob(store, digest)
    if not path.is_file():
        raise Refusal(500, f"open {path}: no such file or directory")
    _check_header(path)
    return {
        "mediaType": LAYER_TYPE + "model",
        "digest": digest.replace("sha256-", "sha256:"),
        "size": path.stat().st_size,
        "from": place,
    }


def _check_header(path: Path) -> Header:
    if not _starts_as_gguf(path):
        raise Refusal(500, _NOT_GGUF)
    try:
        header = read_header(path)
    except EngineError as error:
        raise Refusal(500, error.message) from error
    if header.metadata.get("general.type") in _NO_MODEL_KINDS:
        raise Refusal(400, f"the embedded server does not support a {header.metadata['general.type']} as a model")
    return header


def _holds_gguf(store: ModelStore, digest: str) -> bool:
    """Whether a blob of no telling name is a GGUF file."""
    return (
        DIGEST.fullmatch(digest) is not None
        and store.blob_path(digest).is_file()
        and _starts_as_gguf(store.blob_path(digest))
    )


def _starts_as_gguf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _blob(store: ModelStore, digest: str) -> Path:
    try:
        return store.blob_path(digest)
    except ValueError as error:
        raise Refusal(500, INVALID_DIGEST) from error
