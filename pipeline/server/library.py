"""The management endpoints: what models are here, what they are, which run; pull, copy, delete."""

from __future__ import annotations

import json
from typing import Any

from pipeline.errors import EngineError, UsageError
from pipeline.server import decode
from pipeline.server.durations import expiry_text, moment_text
from pipeline.server.exchange import Refusal, Reply, Request, json_reply, text_reply
from pipeline.server.facts import ModelFacts, lists_of, model_facts
from pipeline.server.names import parse_name
from pipeline.server.service import INVALID_NAME, Service, check_name
from pipeline.server.stored_model import StoredModel
from pipeline.server.templates.choice import go_template

_NOT_FOUND = "model '{}' not found"
_SHOWN_APART = ("general.name", "tokenizer.chat_template")
_NAMED: dict[str, decode.Check] = {"model": decode.string, "name": decode.string}


def root(service: Service, request: Request) -> Reply:
    del service, request
    return text_reply("Ollama is running")


def version(service: Service, request: Request) -> Reply:
    del request
    return json_reply({"version": service.settings.version})


def status(service: Service, request: Request) -> Reply:
    """There is no cloud behind this server, and nothing that would switch one on."""
    del service, request
    return json_reply({"cloud": {"disabled": True, "source": "env"}})


def tags(service: Service, request: Request) -> Reply:
    """The models in the store, the newest first."""
    del request
    newest_first = sorted(service.store.list(), key=lambda model: model.modified_at, reverse=True)
    return json_reply({"models": [_listed(model) for model in newest_first]})


def running(service: Service, request: Request) -> Reply:
    del request
    models: list[dict[str, Any]] = [
        {
            "name": model.name,
            "model": model.name,
            "size": engine.size,
            "digest": model.digest,
            "details": _details(model),
            "expires_at": expiry_text(seconds),
            "size_vram": 0,
            "context_length": engine.plan.context,
        }
        for model, engine, seconds in service.pool.running()
    ]
    return json_reply({"models": models})


def show(service: Service, request: Request) -> Reply:
    fields: dict[str, decode.Check] = {**_NAMED, "system": decode.string, "verbose": decode.boolean}
    given = decode.decode(request.body, "ShowRequest", fields)
    name = _name(given, "model is required")
    model = service.find(name)
    if model is None:
        raise Refusal(404, _NOT_FOUND.format(parse_name(name).short))
    facts = model_facts(model.model_path)
    system = given.get("system") or model.system or ""
    information = {**facts.metadata, **(lists_of(model.model_path) if given.get("verbose") else {})}
    template = go_template(model.template, facts) or facts.template or model.template or "{{ .Prompt }}"
    reply: dict[str, Any] = {
        "license": model.license or "",
        "modelfile": _modelfile(model, system),
        "parameters": _parameters(model),
        "template": template,
        "system": system,
        "details": {**_details(model), "parent_model": model.parent},
        "messages": list(model.messages),
        "model_info": {key: value for key, value in sorted(information.items()) if key not in _SHOWN_APART},
        "tensors": _tensors(facts),
        "capabilities": list(facts.capabilities),
        "modified_at": moment_text(model.modified_at),
    }
    optional = ("license", "modelfile", "parameters", "template", "system", "messages", "capabilities")
    return json_reply({key: value for key, value in reply.items() if value or key not in optional})


def delete(service: Service, request: Request) -> Reply:
    given = decode.decode(request.body, "DeleteRequest", _NAMED)
    name = _name(given, "model is required")
    _check(name, f'name "{name}" is invalid')
    try:
        service.store.remove(name)
    except UsageError as error:
        raise Refusal(404, _NOT_FOUND.format(name)) from error
    return Reply()


def copy(service: Service, request: Request) -> Reply:
    fields: dict[str, decode.Check] = {"source": decode.string, "destination": decode.string}
    given = decode.decode(request.body, "CopyRequest", fields)
    source, destination = given.get("source", ""), given.get("destination", "")
    _check(source, f'source "{source}" is invalid')
    _check(destination, f'destination "{destination}" is invalid')
    try:
        service.store.copy(source, destination)
    except UsageError as error:
        raise Refusal(404, f'model "{source}" not found') from error
    return Reply()


def _name(given: dict[str, Any], missing: str) -> str:
    name = (given.get("model") or given.get("name") or "").strip()
    if not name:
        raise Refusal(400, missing)
    return name


def _check(name: str, text: str) -> None:
    try:
        check_name(name)
    except Refusal as error:
        raise Refusal(400, text or INVALID_NAME) from error


def _details(model: StoredModel) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": model.details.format,
        "family": model.details.family,
        "families": list(model.details.families),
        "parameter_size": model.details.parameter_size,
        "quantization_level": model.details.quantization_level,
    }


def _tensors(facts: ModelFacts) -> list[dict[str, Any]]:
    from gguf import GGMLQuantizationType  # noqa: PLC0415 - heavy

    types = {int(kind): kind.name for kind in GGMLQuantizationType}
    return [
        {"name": name, "type": types.get(kind, str(kind)), "shape": list(shape)} for name, kind, shape in facts.tensors
    ]


def _listed(model: StoredModel) -> dict[str, Any]:
    """A model whose file cannot be read is listed all the same, so that it can be deleted."""
    details = _details(model)
    capabilities: list[str] = []
    try:
        facts = model_facts(model.model_path)
    except (OSError, EngineError):
        facts = None
    if facts is not None:
        lengths = {"context_length": facts.context_length, "embedding_length": facts.embedding_length}
        details.update({key: value for key, value in lengths.items() if value})
        capabilities = list(facts.capabilities)
    row = {
        "name": model.name,
        "model": model.name,
        "modified_at": moment_text(model.modified_at),
        "size": model.size,
        "digest": model.digest,
        "details": details,
    }
    return {**row, "capabilities": capabilities} if capabilities else row


def _parameters(model: StoredModel) -> str:
    """One line each, the value in the form of the real server's language: texts in double quotes."""
    return "\n".join(f"{name:<30} {_literal(value)}" for name, value in _flat(model))


def _modelfile(model: StoredModel, system: str) -> str:
    lines = [
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {model.name}",
        "",
        f"FROM {model.model_path}",
        f"TEMPLATE {_quoted(model.template or '{{ .Prompt }}')}",
    ]
    if system:
        lines.append(f"SYSTEM {_quoted(system)}")
    lines += [f"PARAMETER {name} {_quoted(_plain(value))}" for name, value in _flat(model)]
    if model.license:
        lines.append(f"LICENSE {_quoted(model.license)}")
    lines += [f"MESSAGE {message['role']} {_quoted(message['content'])}" for message in model.messages]
    return "\n".join(lines) + "\n"


def _flat(model: StoredModel) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in model.parameters.items():
        items: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
        pairs += [(name, item) for item in items]
    return pairs


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _plain(value)


def _quoted(text: str) -> str:
    if "\n" not in text and text == text.strip(" "):
        return text
    return f'"""{text}"""' if '"' in text else f'"{text}"'
