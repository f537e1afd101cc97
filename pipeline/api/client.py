"""`Client` and `AsyncClient`: every endpoint, a line each; the same names and arguments on both.

In: method arguments. Out: records of `pipeline.api.replies`, or iterators of them; errors of `pipeline.errors`.
Both are driven by the same descriptions in `endpoints`; retries follow a `RetryPolicy`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from pipeline.api import endpoints
from pipeline.api.address import parse_host
from pipeline.api.endpoints import Call, KeepAlive, StreamCall, given
from pipeline.api.replies import (
    ChatReply,
    EmbedReply,
    GenerateReply,
    ModelInfo,
    Progress,
    RunningModel,
    ShowReply,
)
from pipeline.api.retry import RetryPolicy
from pipeline.api.wire import LineSplitter, decode_line, error_from_httpx, error_from_status, naming_request
from pipeline.errors import ApiError, PipelineError, StreamInterrupted

logger = logging.getLogger(__name__)

Reply = TypeVar("Reply")
Messages = Sequence[Mapping[str, Any]]
OnRetry = Callable[[int, float, ApiError], None]

CONNECT_SECONDS = 5.0
REPLY_SECONDS = 300.0
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class _Shared:
    """What both clients have: address, settings, bodies of requests, the count of requests."""

    def __init__(
        self,
        host: str | None,
        *,
        timeout: float,
        retry: RetryPolicy | None,
        headers: Mapping[str, str] | None,
        on_retry: OnRetry | None,
    ) -> None:
        address = parse_host(host if host is not None else os.environ.get("OLLAMA_HOST", ""))
        self.base_url = address.base_url
        self.retry = retry or RetryPolicy()
        self._on_retry = on_retry
        self._lock = threading.Lock()
        self._requests_sent = 0
        key = os.environ.get("OLLAMA_API_KEY", "").strip()
        self._settings: dict[str, Any] = {
            "base_url": self.base_url,
            "timeout": httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            "headers": {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})},
            "trust_env": address.host not in LOOPBACK,
        }

    @property
    def requests_sent(self) -> int:
        """How many requests this client has made, retries included."""
        return self._requests_sent

    def _describe(self, method: str, path: str) -> str:
        return f"{method} {self.base_url}{path}"

    def _counted(self) -> None:
        with self._lock:
            self._requests_sent += 1

    def _wait_before_retry(self, error: PipelineError, attempt: int, started: float) -> float:
        """Seconds to wait; raises `error` where the policy gives up."""
        if not isinstance(error, ApiError):
            raise error
        delay = self.retry.delay(error, attempt=attempt, elapsed=time.monotonic() - started)
        if delay is None:
            raise error
        logger.info("attempt %d failed, the next in %.2f s: %s", attempt, delay, error)
        if self._on_retry is not None:
            self._on_retry(attempt, delay, error)
        return delay


class Client(_Shared):
    """Speaks to one server; may be shared by threads.

    Args:
        host: an address as OLLAMA_HOST has it; None takes OLLAMA_HOST, else http://127.0.0.1:11434.
        timeout: seconds to wait for a reply, or for the next piece of a streamed one.
        retry: what is tried again; a stream is only while nothing of it has come.
        on_retry: called with attempt, delay in seconds and error before each further attempt.
        transport: how requests travel; the embedded server gives one that needs no socket.

    Every method raises the errors of `pipeline.errors.ApiError`'s tree.
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        timeout: float = REPLY_SECONDS,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        on_retry: OnRetry | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(host, timeout=timeout, retry=retry, headers=headers, on_retry=on_retry)
        self._http = httpx.Client(**self._settings, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def version(self) -> str:
        return self._call(endpoints.version())

    def tags(self) -> tuple[ModelInfo, ...]:
        return self._call(endpoints.tags())

    def ps(self) -> tuple[RunningModel, ...]:
        return self._call(endpoints.ps())

    def show(self, model: str, *, verbose: bool = False) -> ShowReply:
        return self._call(endpoints.show(model, verbose=verbose))

    def embed(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        truncate: bool = False,
        dimensions: int | None = None,
        keep_alive: KeepAlive = None,
        options: Mapping[str, Any] | None = None,
    ) -> EmbedReply:
        """Embeddings of `inputs`, row by row. An input that is too long is an InputTooLong unless `truncate`."""
        return self._call(
            endpoints.embed(
                model,
                inputs,
                truncate=truncate,
                dimensions=dimensions,
                keep_alive=keep_alive,
                options=options,
            )
        )

    def embeddings(self, model: str, prompt: str, **fields: Any) -> tuple[float, ...]:
        """Deprecated by the server: use `embed`."""
        warnings.warn("/api/embeddings is deprecated, use embed", DeprecationWarning, stacklevel=2)
        return self._call(endpoints.embeddings(model, prompt, **fields))

    def generate(self, model: str, prompt: str, **fields: Any) -> GenerateReply:
        """A completion; `fields` are the further fields of the request, such as system, format or options."""
        return self._call(endpoints.generate(given({"model": model, "prompt": prompt, **fields})))

    def generate_stream(self, model: str, prompt: str, **fields: Any) -> Iterator[GenerateReply]:
        return self._stream(endpoints.generate_stream(given({"model": model, "prompt": prompt, **fields})))

    def chat(self, model: str, messages: Messages, **fields: Any) -> ChatReply:
        """An answer; `fields` are the further fields of the request, such as format, tools, options or think."""
        return self._call(endpoints.chat(given({"model": model, "messages": list(messages), **fields})))

    def chat_stream(self, model: str, messages: Messages, **fields: Any) -> Iterator[ChatReply]:
        return self._stream(endpoints.chat_stream(given({"model": model, "messages": list(messages), **fields})))

    def pull_stream(self, model: str, *, insecure: bool = False) -> Iterator[Progress]:
        return self._stream(endpoints.pull_stream(model, insecure=insecure))

    def copy(self, source: str, destination: str) -> None:
        self._call(endpoints.copy(source, destination))

    def delete(self, model: str) -> None:
        self._call(endpoints.delete(model))

    def _call(self, call: Call[Reply]) -> Reply:
        started, attempt = time.monotonic(), 1
        while True:
            try:
                return self._once(call)
            except PipelineError as error:
                delay = self._wait_before_retry(error, attempt, started)
            time.sleep(delay)
            attempt += 1

    def _once(self, call: Call[Reply]) -> Reply:
        request = self._describe(call.method, call.path)
        self._counted()
        try:
            reply = self._http.request(call.method, call.path, json=call.body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise error_from_httpx(error, request) from error
        return _read_reply(call, reply, request)

    def _stream(self, call: StreamCall[Reply]) -> Iterator[Reply]:
        started, attempt = time.monotonic(), 1
        while True:
            begun = False
            try:
                for reply in self._stream_once(call):
                    begun = True
                    yield reply
                return
            except PipelineError as error:
                if begun:
                    raise
                delay = self._wait_before_retry(error, attempt, started)
            time.sleep(delay)
            attempt += 1

    def _stream_once(self, call: StreamCall[Reply]) -> Iterator[Reply]:
        request = self._describe("POST", call.path)
        self._counted()
        reader = _StreamReader(call, request)
        try:
            with self._http.stream("POST", call.path, json=call.body) as reply:
                if reply.status_code != 200:
                    raise error_from_status(reply.status_code, reply.headers, reply.read(), request)
                for piece in reply.iter_bytes():
                    yield from reader.feed(piece)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise error_from_httpx(error, request, partial=reader.partial) from error
        yield from reader.finish()


class AsyncClient(_Shared):
    """As `Client`, for asyncio: the same methods, awaited; streams are async iterators."""

    def __init__(
        self,
        host: str | None = None,
        *,
        timeout: float = REPLY_SECONDS,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        on_retry: OnRetry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(host, timeout=timeout, retry=retry, headers=headers, on_retry=on_retry)
        self._http = httpx.AsyncClient(**self._settings, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def version(self) -> str:
        return await self._call(endpoints.version())

    async def tags(self) -> tuple[ModelInfo, ...]:
        return await self._call(endpoints.tags())

    async def ps(self) -> tuple[RunningModel, ...]:
        return await self._call(endpoints.ps())

    async def show(self, model: str, *, verbose: bool = False) -> ShowReply:
        return await self._call(endpoints.show(model, verbose=verbose))

    async def embed(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        truncate: bool = False,
        dimensions: int | None = None,
        keep_alive: KeepAlive = None,
        options: Mapping[str, Any] | None = None,
    ) -> EmbedReply:
        """Embeddings of `inputs`, row by row. An input that is too long is an InputTooLong unless `truncate`."""
        return await self._call(
            endpoints.embed(
                model,
                inputs,
                truncate=truncate,
                dimensions=dimensions,
                keep_alive=keep_alive,
                options=options,
            )
        )

    async def embeddings(self, model: str, prompt: str, **fields: Any) -> tuple[float, ...]:
        """Deprecated by the server: use `embed`."""
        warnings.warn("/api/embeddings is deprecated, use embed", DeprecationWarning, stacklevel=2)
        return await self._call(endpoints.embeddings(model, prompt, **fields))

    async def generate(self, model: str, prompt: str, **fields: Any) -> GenerateReply:
        """A completion; `fields` are the further fields of the request, such as system, format or options."""
        return await self._call(endpoints.generate(given({"model": model, "prompt": prompt, **fields})))

    def generate_stream(self, model: str, prompt: str, **fields: Any) -> AsyncIterator[GenerateReply]:
        return self._stream(endpoints.generate_stream(given({"model": model, "prompt": prompt, **fields})))

    async def chat(self, model: str, messages: Messages, **fields: Any) -> ChatReply:
        """An answer; `fields` are the further fields of the request, such as format, tools, options or think."""
        return await self._call(endpoints.chat(given({"model": model, "messages": list(messages), **fields})))

    def chat_stream(self, model: str, messages: Messages, **fields: Any) -> AsyncIterator[ChatReply]:
        return self._stream(endpoints.chat_stream(given({"model": model, "messages": list(messages), **fields})))

    def pull_stream(self, model: str, *, insecure: bool = False) -> AsyncIterator[Progress]:
        return self._stream(endpoints.pull_stream(model, insecure=insecure))

    async def copy(self, source: str, destination: str) -> None:
        await self._call(endpoints.copy(source, destination))

    async def delete(self, model: str) -> None:
        await self._call(endpoints.delete(model))

    async def _call(self, call: Call[Reply]) -> Reply:
        started, attempt = time.monotonic(), 1
        while True:
            try:
                return await self._once(call)
            except PipelineError as error:
                delay = self._wait_before_retry(error, attempt, started)
            await asyncio.sleep(delay)
            attempt += 1

    async def _once(self, call: Call[Reply]) -> Reply:
        request = self._describe(call.method, call.path)
        self._counted()
        try:
            reply = await self._http.request(call.method, call.path, json=call.body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise error_from_httpx(error, request) from error
        return _read_reply(call, reply, request)

    async def _stream(self, call: StreamCall[Reply]) -> AsyncIterator[Reply]:
        started, attempt = time.monotonic(), 1
        while True:
            begun = False
            try:
                async for reply in self._stream_once(call):
                    begun = True
                    yield reply
                return
            except PipelineError as error:
                if begun:
                    raise
                delay = self._wait_before_retry(error, attempt, started)
            await asyncio.sleep(delay)
            attempt += 1

    async def _stream_once(self, call: StreamCall[Reply]) -> AsyncIterator[Reply]:
        request = self._describe("POST", call.path)
        self._counted()
        reader = _StreamReader(call, request)
        try:
            async with self._http.stream("POST", call.path, json=call.body) as reply:
                if reply.status_code != 200:
                    raise error_from_status(reply.status_code, reply.headers, await reply.aread(), request)
                async for piece in reply.aiter_bytes():
                    for item in reader.feed(piece):
                        yield item
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise error_from_httpx(error, request, partial=reader.partial) from error
        for item in reader.finish():
            yield item


def _read_reply(call: Call[Reply], reply: httpx.Response, request: str) -> Reply:
    if reply.status_code != 200:
        raise error_from_status(reply.status_code, reply.headers, reply.content, request)
    with naming_request(request):
        return call.parse(reply.content)


class _StreamReader:
    """Turns the bytes of one streamed reply into records and knows whether it is whole."""

    def __init__(self, call: StreamCall[Any], request: str) -> None:
        self._call = call
        self._request = request
        self._lines = LineSplitter()
        self._text: list[str] = []
        self._begun = False
        self._whole = False

    @property
    def partial(self) -> str | None:
        return "".join(self._text) if self._begun else None

    def feed(self, piece: bytes) -> Iterator[Any]:
        for line in self._lines.feed(piece):
            yield self._read(line)

    def finish(self) -> Iterator[Any]:
        for line in self._lines.finish():
            yield self._read(line)
        if not self._whole:
            raise StreamInterrupted(
                f"{self._request}: the stream ended before it was done",
                partial="".join(self._text),
                request=self._request,
                hint="look at the server's log, then try again",
            )

    def _read(self, line: bytes) -> Any:
        with naming_request(self._request):
            reply = self._call.parse(decode_line(line))
        self._begun = True
        self._whole = self._whole or self._call.finished(reply)
        self._text.append(self._call.text(reply))
        return reply
