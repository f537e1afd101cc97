"""`client.v1`: the endpoints of the OpenAI dialect, a line each, on either client.

In: method arguments. Out: records of `pipeline.api.openai_replies`, or generators of them. What is asked is described
in `openai`; the client makes the calls.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, Unpack

from pipeline.api import openai
from pipeline.api.endpoints import Call, StreamCall
from pipeline.api.openai import ChatCompletionFields, CompletionFields, ResponseFields
from pipeline.api.openai_replies import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    EmbeddingsReply,
    ModelCard,
    Response,
    ResponseEvent,
)

Reply = TypeVar("Reply")
Messages = Sequence[Mapping[str, Any]]
Input = str | Sequence[Mapping[str, Any]]
EncodingFormat = Literal["float", "base64"]


class Caller(Protocol):
    def __call__(self, call: Call[Reply], /) -> Reply: ...


class Streamer(Protocol):
    def __call__(self, call: StreamCall[Reply], /) -> Generator[Reply]: ...


class AsyncCaller(Protocol):
    async def __call__(self, call: Call[Reply], /) -> Reply: ...


class AsyncStreamer(Protocol):
    def __call__(self, call: StreamCall[Reply], /) -> AsyncGenerator[Reply]: ...


class V1:
    """`client.v1`: the OpenAI dialect of a server, with that client's hosts, retries and errors."""

    def __init__(self, call: Caller, stream: Streamer) -> None:
        self._call = call
        self._stream = stream

    def chat_completions(
        self, model: str, messages: Messages, **fields: Unpack[ChatCompletionFields]
    ) -> ChatCompletion:
        return self._call(openai.chat_completions(model, messages, fields))

    def chat_completions_stream(
        self, model: str, messages: Messages, **fields: Unpack[ChatCompletionFields]
    ) -> Generator[ChatCompletionChunk]:
        return self._stream(openai.chat_completions_stream(model, messages, fields))

    def completions(self, model: str, prompt: str, **fields: Unpack[CompletionFields]) -> Completion:
        return self._call(openai.completions(model, prompt, fields))

    def completions_stream(self, model: str, prompt: str, **fields: Unpack[CompletionFields]) -> Generator[Completion]:
        return self._stream(openai.completions_stream(model, prompt, fields))

    def models(self) -> tuple[ModelCard, ...]:
        return self._call(openai.models())

    def model(self, name: str) -> ModelCard:
        return self._call(openai.model(name))

    def embeddings(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        dimensions: int | None = None,
        encoding_format: EncodingFormat = "base64",
    ) -> EmbeddingsReply:
        """Embeddings of `inputs`, row by row; base64 is a third of the bytes. The server cuts what is too long."""
        return self._call(openai.embeddings(model, inputs, dimensions=dimensions, encoding_format=encoding_format))

    def responses(self, model: str, given: Input, **fields: Unpack[ResponseFields]) -> Response:
        """`given` is the request's `input`: a text, or a list of items."""
        return self._call(openai.responses(model, given, fields))

    def responses_stream(self, model: str, given: Input, **fields: Unpack[ResponseFields]) -> Generator[ResponseEvent]:
        return self._stream(openai.responses_stream(model, given, fields))


class AsyncV1:
    """As `V1`, for asyncio: the same methods, awaited."""

    def __init__(self, call: AsyncCaller, stream: AsyncStreamer) -> None:
        self._call = call
        self._stream = stream

    async def chat_completions(
        self, model: str, messages: Messages, **fields: Unpack[ChatCompletionFields]
    ) -> ChatCompletion:
        return await self._call(openai.chat_completions(model, messages, fields))

    def chat_completions_stream(
        self, model: str, messages: Messages, **fields: Unpack[ChatCompletionFields]
    ) -> AsyncGenerator[ChatCompletionChunk]:
        return self._stream(openai.chat_completions_stream(model, messages, fields))

    async def completions(self, model: str, prompt: str, **fields: Unpack[CompletionFields]) -> Completion:
        return await self._call(openai.completions(model, prompt, fields))

    def completions_stream(
        self, model: str, prompt: str, **fields: Unpack[CompletionFields]
    ) -> AsyncGenerator[Completion]:
        return self._stream(openai.completions_stream(model, prompt, fields))

    async def models(self) -> tuple[ModelCard, ...]:
        return await self._call(openai.models())

    async def model(self, name: str) -> ModelCard:
        return await self._call(openai.model(name))

    async def embeddings(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        dimensions: int | None = None,
        encoding_format: EncodingFormat = "base64",
    ) -> EmbeddingsReply:
        return await self._call(
            openai.embeddings(model, inputs, dimensions=dimensions, encoding_format=encoding_format)
        )

    async def responses(self, model: str, given: Input, **fields: Unpack[ResponseFields]) -> Response:
        return await self._call(openai.responses(model, given, fields))

    def responses_stream(
        self, model: str, given: Input, **fields: Unpack[ResponseFields]
    ) -> AsyncGenerator[ResponseEvent]:
        return self._stream(openai.responses_stream(model, given, fields))
