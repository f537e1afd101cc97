"""Request fields: what the generating endpoints take, typed, and how our values become JSON. No I/O.

In: keyword arguments. Out: request bodies. Names and meaning are those of `api/types.go` in ollama/ollama; a field that
is None is left out. A name that no field has is an error here, not a silent nothing on the server; fields newer than
this table go into `extra_fields`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from pipeline.api.records import as_json
from pipeline.api.replies import Message
from pipeline.errors import UsageError

JSON = dict[str, Any]
KeepAlive = str | float | None
"""Seconds, or a duration such as "5m"; negative: for ever; 0: unload after the call."""
Format = Literal["json"] | Mapping[str, Any] | None
"""`"json"`, or a JSON schema."""
Think = bool | Literal["low", "medium", "high", "max"] | None
Image = bytes | str
"""The bytes of an image file, or their base64 text."""
MessageLike = Message | Mapping[str, Any]


class _Generating(TypedDict, total=False):
    format: Format
    options: Mapping[str, Any] | None
    keep_alive: KeepAlive
    think: Think
    truncate: bool | None
    shift: bool | None
    logprobs: bool | None
    top_logprobs: int | None
    extra_fields: Mapping[str, Any] | None


class GenerateFields(_Generating, total=False):
    """`truncate` False makes a prompt over the context an error, `shift` False does so for a long answer."""

    suffix: str | None
    system: str | None
    template: str | None
    context: Sequence[int] | None
    raw: bool | None
    images: Sequence[Image] | None


class ChatFields(_Generating, total=False):
    """`truncate` False makes messages over the context an error, `shift` False does so for a long answer."""

    tools: Sequence[Mapping[str, Any]] | None


class CreateFields(TypedDict, total=False):
    """`files`, `adapters` and `draft_files` map a file's name to its digest `sha256:...`; upload the blobs first."""

    files: Mapping[str, str] | None
    adapters: Mapping[str, str] | None
    draft_files: Mapping[str, str] | None
    draft_quantize: str | None
    remote_host: str | None
    template: str | None
    license: str | Sequence[str] | None
    system: str | None
    parameters: Mapping[str, Any] | None
    messages: Sequence[MessageLike] | None
    quantize: str | None
    renderer: str | None
    parser: str | None
    requires: str | None
    info: Mapping[str, Any] | None
    extra_fields: Mapping[str, Any] | None


def generate_body(model: str, prompt: str, fields: GenerateFields) -> JSON:
    """The body of `/api/generate`, without `stream`. Raises UsageError for a field that it does not have."""
    return request_body({"model": model, "prompt": prompt}, {**fields}, GenerateFields)


def chat_body(model: str, messages: Sequence[MessageLike], fields: ChatFields) -> JSON:
    """The body of `/api/chat`, without `stream`. Raises UsageError for a field that it does not have."""
    fixed = {"model": model, "messages": [message_json(item) for item in messages]}
    return request_body(fixed, {**fields}, ChatFields)


def create_body(model: str, source: str | None, fields: CreateFields) -> JSON:
    """The body of `/api/create`, without `stream`. Raises UsageError for a field that it does not have."""
    values: JSON = {**fields}
    if values.get("messages") is not None:
        values["messages"] = [message_json(item) for item in values["messages"]]
    return request_body({"model": model, "from": source}, values, CreateFields)


def message_json(message: MessageLike) -> JSON:
    """A message as the server takes it: empty fields left out, images in base64."""
    content = as_json(message, empty=False) if isinstance(message, Message) else dict(message)
    if content.get("images"):
        content["images"] = [image_text(image) for image in content["images"]]
    return content


def image_text(image: Image) -> str:
    return base64.b64encode(image).decode() if isinstance(image, bytes) else image


def given(body: JSON) -> JSON:
    """The fields that have a value."""
    return {key: value for key, value in body.items() if value is not None}


def request_body(fixed: JSON, fields: JSON, kind: type[Any]) -> JSON:
    """`fixed` and those of `fields` that have a value; `kind` is the TypedDict that says which there are."""
    known: frozenset[str] = kind.__optional_keys__
    if unknown := sorted(fields.keys() - known):
        raise UsageError(
            f"the request has no field {', '.join(map(repr, unknown))}",
            hint=f"fields: {', '.join(sorted(known))}; newer ones go into extra_fields",
        )
    values = {**fields}
    extra = values.pop("extra_fields", None) or {}
    if values.get("images"):
        values["images"] = [image_text(image) for image in values["images"]]
    return {**given({**fixed, **values}), **extra}
