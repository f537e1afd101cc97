"""Every native endpoint as data: method, path, body, and how to read the reply. No I/O.

In: arguments. Out: a `Call` or a `StreamCall`, which either client can make. Field names and defaults are those of
`api/types.go` in ollama/ollama; a field that is None is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipeline.api.embeddings import parse_embed_reply
from pipeline.api.replies import (
    ChatReply,
    EmbedReply,
    GenerateReply,
    ModelInfo,
    Progress,
    RunningModel,
    ShowReply,
    record,
)
from pipeline.api.wire import decode_json
from pipeline.errors import BadReply

Reply = TypeVar("Reply")
JSON = dict[str, Any]
KeepAlive = str | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Reply]):
    """A request with one reply; `parse` gets the reply's bytes."""

    method: str
    path: str
    parse: Callable[[bytes], Reply]
    body: JSON | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCall(Generic[Reply]):
    """A request with a reply of many lines, which is whole once `finished` is true of a line.

    `text` gives the text of a line, of which a broken stream's error carries what had come.
    """

    path: str
    body: JSON
    parse: Callable[[Any], Reply]
    finished: Callable[[Reply], bool]
    text: Callable[[Reply], str]


def version() -> Call[str]:
    return Call(method="GET", path="/api/version", parse=lambda content: str(_object(content).get("version", "")))


def tags() -> Call[tuple[ModelInfo, ...]]:
    return Call(method="GET", path="/api/tags", parse=lambda content: _models(ModelInfo, content))


def ps() -> Call[tuple[RunningModel, ...]]:
    return Call(method="GET", path="/api/ps", parse=lambda content: _models(RunningModel, content))


def show(model: str, *, verbose: bool = False) -> Call[ShowReply]:
    body = {"model": model, "verbose": True if verbose else None}
    return Call(
        method="POST",
        path="/api/show",
        body=given(body),
        parse=lambda content: record(ShowReply, _object(content)),
    )


def embed(
    model: str,
    inputs: Sequence[str],
    *,
    truncate: bool = False,
    dimensions: int | None = None,
    keep_alive: KeepAlive = None,
    options: Mapping[str, Any] | None = None,
) -> Call[EmbedReply]:
    """`truncate` is always sent: the server's own default cuts long inputs without a word."""
    count = len(inputs)
    body = {
        "model": model,
        "input": list(inputs),
        "truncate": truncate,
        "dimensions": dimensions,
        "keep_alive": keep_alive,
        "options": options,
    }
    return Call(
        method="POST",
        path="/api/embed",
        body=given(body),
        parse=lambda content: parse_embed_reply(content, count=count),
    )


def embeddings(
    model: str, prompt: str, *, keep_alive: KeepAlive = None, options: Mapping[str, Any] | None = None
) -> Call[tuple[float, ...]]:
    body = {"model": model, "prompt": prompt, "keep_alive": keep_alive, "options": options}
    return Call(
        method="POST",
        path="/api/embeddings",
        body=given(body),
        parse=_one_embedding,
    )


def generate(body: JSON) -> Call[GenerateReply]:
    return Call(
        method="POST",
        path="/api/generate",
        body={**body, "stream": False},
        parse=lambda content: record(GenerateReply, _object(content)),
    )


def generate_stream(body: JSON) -> StreamCall[GenerateReply]:
    return StreamCall(
        path="/api/generate",
        body={**body, "stream": True},
        parse=lambda content: record(GenerateReply, content),
        finished=lambda reply: reply.done,
        text=lambda reply: reply.response,
    )


def chat(body: JSON) -> Call[ChatReply]:
    return Call(
        method="POST",
        path="/api/chat",
        body={**body, "stream": False},
        parse=lambda content: record(ChatReply, _object(content)),
    )


def chat_stream(body: JSON) -> StreamCall[ChatReply]:
    return StreamCall(
        path="/api/chat",
        body={**body, "stream": True},
        parse=lambda content: record(ChatReply, content),
        finished=lambda reply: reply.done,
        text=lambda reply: reply.message.content,
    )


def pull_stream(model: str, *, insecure: bool = False) -> StreamCall[Progress]:
    return StreamCall(
        path="/api/pull",
        body=given({"model": model, "insecure": True if insecure else None, "stream": True}),
        parse=lambda content: record(Progress, content),
        finished=lambda progress: progress.status == "success",
        text=lambda progress: progress.status,
    )


def copy(source: str, destination: str) -> Call[None]:
    body = {"source": source, "destination": destination}
    return Call(method="POST", path="/api/copy", body=body, parse=lambda _: None)


def delete(model: str) -> Call[None]:
    return Call(method="DELETE", path="/api/delete", body={"model": model}, parse=lambda _: None)


def given(body: JSON) -> JSON:
    """The fields that have a value."""
    return {key: value for key, value in body.items() if value is not None}


def _object(content: bytes) -> JSON:
    value = decode_json(content)
    if not isinstance(value, dict):
        raise BadReply(f"expected a JSON object from the server, got {type(value).__name__}")
    return value


def _one_embedding(content: bytes) -> tuple[float, ...]:
    embedding = _object(content).get("embedding")
    if not isinstance(embedding, list):
        raise BadReply("the reply of /api/embeddings holds no embedding")
    return tuple(embedding)


def _models(kind: type[Reply], content: bytes) -> tuple[Reply, ...]:
    models = _object(content).get("models")
    if models is None:
        return ()
    if not isinstance(models, list):
        raise BadReply("the server's list of models is no list")
    return tuple(record(kind, model) for model in models)
