"""POST /api/create: another model's name or an uploaded GGUF file comes in, with what to change; progress goes out."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import EngineError
from pipeline.server import decode
from pipeline.server.blobs import INVALID_DIGEST
from pipeline.server.exchange import (
    Cancellation,
    Refusal,
    Reply,
    Request,
    Stream,
    encode,
    json_reply,
    ndjson_reply,
)
from pipeline.server.facts import model_facts
from pipeline.server.failures import failure
from pipeline.server.gguf_header import MAGIC, Header, read_header
from pipeline.server.models import DIGEST, LAYER_TYPE, ModelStore, configuration
from pipeline.server.names import parse_name
from pipeline.server.progress import Line, progress_reply
from pipeline.server.pulling import pull_lines
from pipeline.server.service import Service, check_name

Layer = dict[str, Any]

_CREATE: dict[str, decode.Check] = {
    "model": decode.string,
    "name": decode.string,
    "stream": decode.boolean,
    "from": decode.string,
    "files": decode.mapping,
    "adapters": decode.mapping,
    "draft_files": decode.mapping,
    "remote_host": decode.string,
    "info": decode.mapping,
    "template": decode.string,
    "license": decode.anything,
    "system": decode.string,
    "parameters": decode.mapping,
    "messages": decode.messages,
    "quantize": decode.string,
    "renderer": decode.string,
    "parser": decode.string,
    "requires": decode.string,
}
_NOT_HERE = ("adapters", "draft_files", "remote_host", "info")
_NOT_GGUF = "supplied file was not in GGUF format"
_NO_MODEL_KINDS = ("adapter", "projector", "mmproj")
_QUANTIZATIONS = ("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0")
_NOT_QUANTIZED = ("F32", "F16", "BF16")


def create(service: Service, request: Request) -> Reply:
    given = decode.decode(request.body, "CreateRequest", _CREATE)
    _check_files(given.get("files", {}))
    name = (given.get("model") or given.get("name") or "").strip()
    check_name(name)
    for field in _NOT_HERE:
        if given.get(field):
            raise Refusal(400, f"the embedded server does not support {field!r} in create")
    return progress_reply(_create(service, request, name, given), request, stream=given.get("stream", True))


def _create(service: Service, request: Request, name: str, given: Line) -> Iterator[Line]:
    store = service.store
    if given.get("from"):
        layers, config = yield from _base_of_model(service, request, given["from"])
    elif "files" in given:
        layers, config = yield from _base_of_files(store, given["files"])
    else:
        raise Refusal(400, "neither 'from' or 'files' was specified")
    base = next((layer for layer in layers if _kind(layer) == "model"), None)
    if base is None:
        raise Refusal(400, "no base model was found")
    _check_template(store, given.get("template", ""), layers, base)
    _check_quantization(given.get("quantize", ""), str(config.get("file_type")))
    config |= {field: given[field] for field in ("renderer", "parser", "requires") if given.get(field)}
    config["rootfs"] = {"type": "layers", "diff_ids": [base["digest"]]}
    changed = _with_changes(store, layers, given)
    for status, _ in changed:
        yield {"status": status}
    yield {"status": "writing manifest"}
    request.cancellation.check()
    store.write(name, [layer for _, layer in changed], config)
    yield {"status": "success"}


def _base_of_model(
    service: Service, request: Request, source: str
) -> Generator[Line, None, tuple[list[Layer], dict[str, Any]]]:
    """The layers of a stored model; one that is not here is pulled first."""
    check_name(source)
    found = service.store.layers(source)
    if found is None:
        yield from _pulled(service, request, source)
        found = service.store.layers(source)
        if found is None:
            raise Refusal(404, f"model '{source}' not found")
    layers, config = found
    origin = parse_name(source).short
    return [{**layer, "from": origin} for layer in layers], config


def _pulled(service: Service, request: Request, source: str) -> Iterator[Line]:
    for line in pull_lines(service, source, insecure=False, cancellation=request.cancellation):
        if line["status"] != "success":
            yield line
    request.cancellation.check()


def _base_of_files(
    store: ModelStore, files: dict[str, str]
) -> Generator[Line, None, tuple[list[Layer], dict[str, Any]]]:
    """The one GGUF file among the blobs."""
    if any(name.endswith(".safetensors") for name in files):
        raise Refusal(400, "the embedded server takes GGUF files only: convert the safetensors first")
    if len(files) > 1:
        raise Refusal(400, "the embedded server takes one GGUF file only: merge the parts first")
    for name, digest in files.items():
        if not name.endswith(".gguf") and not _holds_gguf(store, digest):
            break
        yield {"status": "parsing GGUF"}
        path = _blob(store, digest)
        if not path.is_file():
            raise Refusal(500, f"open {path}: no such file or directory")
        header = _header(path)
        layer: Layer = {
            "mediaType": LAYER_TYPE + "model",
            "digest": digest.replace("sha256-", "sha256:"),
            "size": path.stat().st_size,
            "from": name,
        }
        return [layer], configuration(header, [layer])
    raise Refusal(400, "unknown type")


def _header(path: Path) -> Header:
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


def _check_files(files: dict[str, Any]) -> None:
    for name, digest in files.items():
        place = PurePosixPath(name)
        if not name or place.is_absolute() or ".." in place.parts or place.as_posix() != name:
            raise Refusal(400, "file path must be relative")
        if not decode.string(digest, "CreateRequest.files"):
            raise Refusal(400, INVALID_DIGEST)


def _blob(store: ModelStore, digest: str) -> Path:
    try:
        return store.blob_path(digest)
    except ValueError as error:
        raise Refusal(500, INVALID_DIGEST) from error


def _check_template(store: ModelStore, template: str, layers: list[Layer], base: Layer) -> None:
    """Only the template that the model has already: another one would be stored and not obeyed."""
    if not template:
        return
    own = [store.blob_path(layer["digest"]).read_text("utf-8") for layer in layers if _kind(layer) == "template"]
    if template not in (*own, model_facts(store.blob_path(base["digest"])).template or "{{ .Prompt }}"):
        raise Refusal(400, "custom templates are not supported: the model's own chat template is used")


def _check_quantization(wanted: str, present: str) -> None:
    if not wanted:
        return
    if wanted.upper() not in _QUANTIZATIONS:
        kinds = ", ".join(_QUANTIZATIONS)
        raise Refusal(500, f"unsupported quantization type {wanted.upper()} - supported types are {kinds}")
    if present not in _NOT_QUANTIZED:
        raise Refusal(500, "quantization is only supported for F16, BF16 and F32 models")
    if wanted.upper() != present:
        raise Refusal(400, "the embedded server cannot quantize: upload a file that is quantized already")


def _with_changes(store: ModelStore, layers: list[Layer], given: Line) -> list[tuple[str, Layer]]:
    """The layers of the new model, each with the line that says whether it was there."""
    kept = list(layers)
    added: list[tuple[str, Layer]] = []

    def put(kind: str, content: str) -> None:
        data = content.encode()
        digest, is_new = store.add_blob(data)
        layer = {"mediaType": LAYER_TYPE + kind, "digest": digest, "size": len(data)}
        added.append((f"{'creating new' if is_new else 'using existing'} layer {digest}", layer))

    def drop(kind: str) -> None:
        kept[:] = [layer for layer in kept if _kind(layer) != kind]

    if given.get("system"):
        drop("system")
        put("system", given["system"])
    for text in _licenses(given.get("license")):
        put("license", text)
    old = [json.loads(store.blob_path(layer["digest"]).read_bytes()) for layer in kept if _kind(layer) == "params"]
    parameters = {name: value for stored in old for name, value in stored.items()} | given.get("parameters", {})
    if parameters:
        drop("params")
        put("params", _text(dict(sorted(parameters.items()))))
    if given.get("messages"):
        drop("messages")
        put("messages", _text(given["messages"]))
    return [(f"using existing layer {layer['digest']}", layer) for layer in kept] + added


def _licenses(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return decode.strings(value, "CreateRequest.license") if value is not None else []


def _text(value: Any) -> str:
    return encode(value).decode() + "\n"


def _kind(layer: Layer) -> str:
    return str(layer["mediaType"]).removeprefix(LAYER_TYPE)
