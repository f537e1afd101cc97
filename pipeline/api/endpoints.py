"""Every native endpoint as data: method, path, body, and how to read the reply. No I/O.

In: arguments. Out: a `Call` or a `StreamCall`, which either client can make. Field names and defaults are those of
`api/types.go` in ollama/ollama; a field that is None is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pipeline.api.blobs import Blob, OnBytes
from pipeline.api.embeddings import parse_embed_reply
from pipeline.api.fields import (
    JSON,
    ChatFields,
    CreateFields,
    GenerateFields,
    KeepAlive,
    MessageLike,
    chat_body,
    create_body,
    generate_body,
    given,
)
from pipeline.api.records import record
from pipeline.api.replies import (
    ChatReply,
    EmbedReply,
    GenerateReply,
    ModelInfo,
    Progress,
    RunningModel,
    ShowReply,
)
from pipeline.api.wire import decode_json
from pipeline.errors import BadReply

Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Reply]):
    """A request with one reply; `parse` gets the reply's bytes.

    `model` names the model that the server must have, which may be pulled for it. `spread` says that any server of a
    fleet gives the same reply.
    """

    method: str
    path: str
    parse: Callable[[bytes], Reply]
    body: JSON | None = None
    model: str | None = None
    spread: bool = False
    upload: tuple[Blob, OnBytes | None] | None = None

    def pieces(self) -> Iterator[bytes] | None:
        """The bytes to send where the body is a file, from its start."""
        return self.upload[0].pieces(self.upload[1]) if self.upload else None

    @property
    def headers(self) -> dict[str, str]:
        if self.upload is None:
            return {}
        return {"Content-Length": str(self.upload[0].size), "Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCall(Generic[Reply]):
    """A request with a reply of many lines, which is whole once `finished` is true of a line.

    `text` gives the text of a line, of which a broken stream's error carries what had come. `framing` is how lines
    come: `ndjson`, or `sse` whose data is JSON and may end with `[DONE]`, which makes the reply whole too.
    """

    path: str
    body: JSON
    parse: Callable[[Any], Reply]
    finished: Callable[[Reply], bool]
    text: Callable[[Reply], str]
    model: str | None = None
    framing: Literal["ndjson", "sse"] = "ndjson"


def version() -> Call[str]:
    return Call(method="GET", path="/api/version", parse=lambda content: str(as_object(content).get("version", "")))


def tags() -> Call[tuple[ModelInfo, ...]]:
    return Call(method="GET", path="/api/tags", parse=lambda content: _models(ModelInfo, content))


def ps() -> Call[tuple[RunningModel, ...]]:
    return Call(method="GET", path="/api/ps", parse=lambda content: _models(RunningModel, content))


def show(
    model: str, *, verbose: bool = False, system: str | None = None, options: Mapping[str, Any] | None = None
) -> Call[ShowReply]:
    body = {"model": model, "verbose": True if verbose else None, "system": system, "options": options}
    return Call(
        method="POST",
        path="/api/show",
        body=given(body),
        parse=lambda content: record(ShowReply, as_object(content)),
        model=model,
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
        model=model,
        spread=True,
    )


def embeddings(
    model: str, prompt: str, *, keep_alive: KeepAlive = None, options: Mapping[str, Any] | None = None
) -> Call[tuple[float, ...]]:
    body = {"model": model, "prompt": prompt, "keep_alive": keep_alive, "options": options}
    return Call(method="POST", path="/api/embeddings", body=given(body), parse=_one_embedding, model=model)


def generate(model: str, prompt: str, fields: GenerateFields) -> Call[GenerateReply]:
    return Call(
        method="POST",
        path="/api/generate",
        body={**generate_body(model, prompt, fields), "stream": False},
        parse=lambda content: record(GenerateReply, as_object(content)),
        model=model,
    )


def generate_stream(model: str, prompt: str, fields: GenerateFields) -> StreamCall[GenerateReply]:
    return StreamCall(
        path="/api/generate",
        body={**generate_body(model, prompt, fields), "stream": True},
        parse=lambda content: record(GenerateReply, content),
        finished=lambda reply: reply.done,
        text=lambda reply: reply.response,
        model=model,
    )


def chat(model: str, messages: Sequence[MessageLike], fields: ChatFields) -> Call[ChatReply]:
    return Call(
        method="POST",
        path="/api/chat",
        body={**chat_body(model, messages, fields), "stream": False},
        parse=lambda content: record(ChatReply, as_object(content)),
        model=model,
    )


def chat_stream(model: str, messages: Sequence[MessageLike], fields: ChatFields) -> StreamCall[ChatReply]:
    return StreamCall(
        path="/api/chat",
        body={**chat_body(model, messages, fields), "stream": True},
        parse=lambda content: record(ChatReply, content),
        finished=lambda reply: reply.done,
        text=lambda reply: reply.message.content,
        model=model,
    )


def pull_stream(model: str, *, insecure: bool = False) -> StreamCall[Progress]:
    return _progress("/api/pull", {"model": model, "insecure": True if insecure else None})


def push_stream(model: str, *, insecure: bool = False) -> StreamCall[Progress]:
    return _progress("/api/push", {"model": model, "insecure": True if insecure else None})


def create_stream(model: str, source: str | None, fields: CreateFields) -> StreamCall[Progress]:
    return _progress("/api/create", create_body(model, source, fields))


def copy(source: str, destination: str) -> Call[None]:
    body = {"source": source, "destination": destination}
    return Call(method="POST", path="/api/copy", body=body, parse=lambda _: None)


def delete(model: str) -> Call[None]:
    return Call(method="DELETE", path="/api/delete", body={"model": model}, parse=lambda _: None)


def blob(digest: str) -> Call[None]:
    """Asks for a blob's presence; 404 is the answer no."""
    return Call(method="HEAD", path=f"/api/blobs/{digest}", parse=lambda _: None)


def upload(blob: Blob, on_bytes: OnBytes | None = None) -> Call[None]:
    """Sends a file; the server checks that it has the digest."""
    return Call(method="POST", path=f"/api/blobs/{blob.digest}", parse=lambda _: None, upload=(blob, on_bytes))


def as_object(content: bytes) -> JSON:
    """Raises BadReply if `content` is no JSON object."""
    value = decode_json(content)
    if not isinstance(value, dict):
        raise BadReply(f"expected a JSON object from the server, got {type(value).__name__}")
    return value


def _progress(path: str, body: JSON) -> StreamCall[Progress]:
    return StreamCall(
        path=path,
        body={**given(body), "stream": True},
        parse=lambda content: record(Progress, content),
        finished=lambda progress: progress.status == "success",
        text=lambda progress: progress.status,
    )


def _one_embedding(content: bytes) -> tuple[float, ...]:
    embedding = as_object(content).get("embedding")
    if not isinstance(embedding, list):
        raise BadReply("the reply of /api/embeddings holds no embedding")
    return tuple(embedding)


def _models(kind: type[Reply], content: bytes) -> tuple[Reply, ...]:
    models = as_object(content).get("models")
    if models is None:
        return ()
    if not isinstance(models, list):
        raise BadReply("the server's list of models is no list")
    return tuple(record(kind, model) for model in models)
