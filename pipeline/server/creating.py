"""POST /api/create: another model's name or uploaded files come in, with what to change; progress goes out."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Any

from pipeline.server import decode
from pipeline.server.exchange import Refusal, Reply, Request, encode
from pipeline.server.facts import model_facts
from pipeline.server.gguf_header import read_header
from pipeline.server.model_config import configuration
from pipeline.server.models import LAYER_TYPE, ModelStore
from pipeline.server.names import parse_name
from pipeline.server.progress import Line, progress_reply
from pipeline.server.pulling import pull_lines
from pipeline.server.service import Service, check_name
from pipeline.server.templates import TemplateError, parse_template
from pipeline.server.templates.choice import go_template
from pipeline.server.uploads import NEW, Layer, check_files, layer_of_files, quantized

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
    "quantization": decode.string,
    "renderer": decode.string,
    "parser": decode.string,
    "requires": decode.string,
}
_NOT_HERE = ("adapters", "draft_files", "remote_host", "info")


def create(service: Service, request: Request) -> Reply:
    given = decode.decode(request.body, "CreateRequest", _CREATE)
    check_files(given.get("files", {}))
    name = (given.get("model") or given.get("name") or "").strip()
    check_name(name)
    for field in _NOT_HERE:
        if given.get(field):
            raise Refusal(400, f"the embedded server does not support {field!r} in create")
    return progress_reply(_create(service, request, name, given), request, stream=given.get("stream", True))


def _create(service: Service, request: Request, name: str, given: Line) -> Iterator[Line]:
    store = service.store
    config: dict[str, Any] = {}
    if given.get("from"):
        layers, config = yield from _base_of_model(service, request, given["from"])
    elif "files" in given:
        title = parse_name(name).model
        layers = [(yield from layer_of_files(store, request, title, given["files"]))]
    else:
        raise Refusal(400, "neither 'from' or 'files' was specified")
    place = next((place for place, layer in enumerate(layers) if _kind(layer) == "model"), None)
    if place is None:
        raise Refusal(400, "no base model was found")
    template = _new_template(store, given.get("template", ""), layers, layers[place])
    wanted = given.get("quantize") or given.get("quantization") or ""
    before = layers[place]["digest"]
    layers[place] = yield from quantized(store, request, layers[place], wanted)
    if not config or layers[place]["digest"] != before:
        config |= configuration(read_header(store.blob_path(layers[place]["digest"])), [layers[place]])
    config |= {field: given[field] for field in ("renderer", "parser", "requires") if given.get(field)}
    changed = _with_changes(store, layers, {**given, "template": template})
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


def _new_template(store: ModelStore, template: str, layers: list[Layer], base: Layer) -> str:
    """The template to store, or nothing where it is the model's already.

    One that would not be obeyed is refused: stored without effect it would be a lie.
    """
    facts = model_facts(store.blob_path(base["digest"]))
    stored = [store.blob_path(layer["digest"]).read_text("utf-8") for layer in layers if _kind(layer) == "template"]
    if not template or template in (*stored, facts.template):
        return ""
    try:
        parse_template(template)
    except TemplateError as error:
        raise Refusal(400, f"template error: {error}") from error
    if not go_template(template, facts):
        raise Refusal(400, "custom templates are not supported for this model: the one in its file is used")
    return template


def _with_changes(store: ModelStore, layers: list[Layer], given: Line) -> list[tuple[str, Layer]]:
    """The layers of the new model, each with the line that says whether it was there."""
    kept = list(layers)
    added: list[tuple[str, Layer]] = []

    def put(kind: str, content: str) -> None:
        data = content.encode()
        digest, is_new = store.add_blob(data)
        layer = {"mediaType": LAYER_TYPE + kind, "digest": digest, "size": len(data)}
        added.append((_status(digest, is_new=is_new), layer))

    def drop(kind: str) -> None:
        kept[:] = [layer for layer in kept if _kind(layer) != kind]

    if given.get("template"):
        drop("template")
        put("template", given["template"])
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
    known = [(_status(layer["digest"], is_new=layer.pop(NEW, False)), layer) for layer in kept]
    return known + added


def _status(digest: str, *, is_new: bool) -> str:
    return f"{'creating new' if is_new else 'using existing'} layer {digest}"


def _licenses(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return decode.strings(value, "CreateRequest.license") if value is not None else []


def _text(value: Any) -> str:
    return encode(value).decode() + "\n"


def _kind(layer: Layer) -> str:
    return str(layer["mediaType"]).removeprefix(LAYER_TYPE)
