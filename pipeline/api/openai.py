"""The endpoints of the OpenAI dialect as data, as `endpoints` has the native ones. No I/O.

In: arguments. Out: a `Call` or a `StreamCall`. Fields are those that `openai/` in ollama/ollama reads; a name that no
field has is an error here; fields of other servers go into `extra_fields`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import quote

from pipeline.api.endpoints import Call, StreamCall, as_object
from pipeline.api.fields import JSON, request_body
from pipeline.api.openai_replies import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    EmbeddingsReply,
    ModelCard,
    Response,
    ResponseEvent,
    TokenUsage,
)
from pipeline.api.records import record
from pipeline.errors import BadReply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENDS_OF_RESPONSE = frozenset(["response.completed", "response.incomplete", "response.failed"])


class _Sampling(TypedDict, total=False):
    max_tokens: int | None
    seed: int | None
    stop: str | Sequence[str] | None
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    extra_fields: Mapping[str, Any] | None


class ChatCompletionFields(_Sampling, total=False):
    response_format: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    reasoning: Mapping[str, Any] | None
    reasoning_effort: str | None
    logprobs: bool | None
    top_logprobs: int | None


class CompletionFields(_Sampling, total=False):
    suffix: str | None
    logprobs: int | None


class ResponseFields(TypedDict, total=False):
    instructions: str | None
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    truncation: str | None
    text: Mapping[str, Any] | None
    reasoning: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    include: Sequence[str] | None
    extra_fields: Mapping[str, Any] | None


def chat_completions(
    model: str, messages: Sequence[Mapping[str, Any]], fields: ChatCompletionFields
) -> Call[ChatCompletion]:
    return _post("/v1/chat/completions", model, _chat_body(model, messages, fields), ChatCompletion)


def chat_completions_stream(
    model: str, messages: Sequence[Mapping[str, Any]], fields: ChatCompletionFields
) -> StreamCall[ChatCompletionChunk]:
    """The last piece but one carries the usage: it is always asked for."""
    return StreamCall(
        path="/v1/chat/completions",
        body={**_chat_body(model, messages, fields), **_STREAMED},
        parse=lambda content: record(ChatCompletionChunk, content),
        finished=lambda _: False,
        text=lambda chunk: chunk.text,
        model=model,
        framing="sse",
    )


def completions(model: str, prompt: str, fields: CompletionFields) -> Call[Completion]:
    return _post("/v1/completions", model, _completion_body(model, prompt, fields), Completion)


def completions_stream(model: str, prompt: str, fields: CompletionFields) -> StreamCall[Completion]:
    """The last piece but one carries the usage: it is always asked for."""
    return StreamCall(
        path="/v1/completions",
        body={**_completion_body(model, prompt, fields), **_STREAMED},
        parse=lambda content: record(Completion, content),
        finished=lambda _: False,
        text=lambda chunk: chunk.text,
        model=model,
        framing="sse",
    )


def models() -> Call[tuple[ModelCard, ...]]:
    return Call(method="GET", path="/v1/models", parse=_model_cards)


def model(name: str) -> Call[ModelCard]:
    return Call(
        method="GET",
        path=f"/v1/models/{quote(name, safe=':/')}",
        parse=lambda content: record(ModelCard, as_object(content)),
    )


def embeddings(
    model: str, inputs: Sequence[str], *, dimensions: int | None = None, encoding_format: str = "base64"
) -> Call[EmbeddingsReply]:
    body = {"model": model, "input": list(inputs), "encoding_format": encoding_format}
    count = len(inputs)
    return Call(
        method="POST",
        path="/v1/embeddings",
        body=body if dimensions is None else {**body, "dimensions": dimensions},
        parse=lambda content: _embeddings(content, count),
        model=model,
        spread=True,
    )


def responses(model: str, given: str | Sequence[Mapping[str, Any]], fields: ResponseFields) -> Call[Response]:
    return _post("/v1/responses", model, _response_body(model, given, fields), Response)


def responses_stream(
    model: str, given: str | Sequence[Mapping[str, Any]], fields: ResponseFields
) -> StreamCall[ResponseEvent]:
    return StreamCall(
        path="/v1/responses",
        body={**_response_body(model, given, fields), "stream": True},
        parse=lambda content: record(ResponseEvent, content),
        finished=lambda event: event.type in ENDS_OF_RESPONSE,
        text=lambda event: event.delta if event.type == "response.output_text.delta" else "",
        model=model,
        framing="sse",
    )


_STREAMED: JSON = {"stream": True, "stream_options": {"include_usage": True}}


def _post(path: str, model: str, body: JSON, kind: type[Any]) -> Call[Any]:
    return Call(
        method="POST",
        path=path,
        body=body,
        parse=lambda content: record(kind, as_object(content)),
        model=model,
    )


def _chat_body(model: str, messages: Sequence[Mapping[str, Any]], fields: ChatCompletionFields) -> JSON:
    fixed = {"model": model, "messages": [dict(message) for message in messages]}
    return request_body(fixed, {**fields}, ChatCompletionFields)


def _completion_body(model: str, prompt: str, fields: CompletionFields) -> JSON:
    return request_body({"model": model, "prompt": prompt}, {**fields}, CompletionFields)


def _response_body(model: str, given: str | Sequence[Mapping[str, Any]], fields: ResponseFields) -> JSON:
    content = given if isinstance(given, str) else [dict(item) for item in given]
    return request_body({"model": model, "input": content}, {**fields}, ResponseFields)


def _model_cards(content: bytes) -> tuple[ModelCard, ...]:
    return tuple(record(ModelCard, item) for item in _data(as_object(content)))


def _data(reply: JSON) -> list[Any]:
    data = reply.get("data")
    if data is None:
        return []
    if not isinstance(data, list):
        raise BadReply("the server's list is no list")
    return data


def _embeddings(content: bytes, count: int) -> EmbeddingsReply:
    """Rows are put in the order of their `index`, which need not be that of the reply."""
    import numpy as np  # noqa: PLC0415 - heavy

    reply = as_object(content)
    rows: dict[int, NDArray[np.float32]] = {}
    for position, item in enumerate(_data(reply)):
        entry: JSON = item if isinstance(item, dict) else {}
        rows[int(entry.get("index", position))] = _vector(entry.get("embedding"))
    if sorted(rows) != list(range(count)):
        raise BadReply(f"asked for {count} embeddings, the reply of /v1/embeddings has {len(rows)}")
    if len({row.shape for row in rows.values()}) > 1:
        raise BadReply("the embeddings of /v1/embeddings differ in length")
    return EmbeddingsReply(
        model=str(reply.get("model") or ""),
        matrix=np.stack([rows[index] for index in range(count)]) if rows else np.empty((0, 0), np.float32),
        usage=record(TokenUsage, reply.get("usage") or {}),
    )


def _vector(value: Any) -> NDArray[np.float32]:
    """Little-endian float32 in base64, or a list of numbers, whichever the server sent."""
    import numpy as np  # noqa: PLC0415 - heavy

    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        row = np.asarray(value, dtype=np.float32)
    except (binascii.Error, ValueError, TypeError) as error:
        raise BadReply(f"an embedding of /v1/embeddings cannot be read: {error}") from error
    if row.ndim != 1:
        raise BadReply("an embedding of /v1/embeddings is no list of numbers")
    return row
