"""`AsyncClient`: as `Client`, for asyncio: the same methods, awaited; streams are async generators.

In: method arguments. Out: records of `pipeline.api.replies`, or iterators of them; errors of `pipeline.errors`. What
is asked is described in `endpoints`, what happens when it fails in `session`.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx

from pipeline.api import endpoints
from pipeline.api.blobs import Blob, CreatePlan, OnBytes
from pipeline.api.endpoints import Call, StreamCall
from pipeline.api.fields import ChatFields, CreateFields, GenerateFields, KeepAlive, MessageLike
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
from pipeline.api.session import (
    REPLY_SECONDS,
    Attempts,
    OnPull,
    OnRetry,
    Session,
    StreamReader,
    cannot_be_pulled,
    read_reply,
)
from pipeline.api.wire import error_from_httpx, error_from_status
from pipeline.errors import PipelineError, StatusError

if TYPE_CHECKING:
    from pipeline.api.v1 import AsyncV1

Reply = TypeVar("Reply")


class AsyncClient:
    """Arguments and methods are those of `Client`. Belongs to one event loop."""

    def __init__(
        self,
        host: str | Sequence[str] | None = None,
        *,
        timeout: float = REPLY_SECONDS,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        per_host: int | None = None,
        on_retry: OnRetry | None = None,
        on_pull: OnPull | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._session = Session(
            host,
            timeout=timeout,
            retry=retry,
            headers=headers,
            per_host=per_host,
            on_retry=on_retry,
            on_pull=on_pull,
        )
        self._http = [
            httpx.AsyncClient(**self._session.settings(address), transport=transport)
            for address in self._session.addresses
        ]
        self._freed = asyncio.Condition()
        self._pulling = asyncio.Lock()
        self._comparing = asyncio.Lock()

    @cached_property
    def v1(self) -> AsyncV1:
        """The endpoints of the OpenAI dialect."""
        from pipeline.api.v1 import AsyncV1  # noqa: PLC0415 - heavy, and a dialect of its own

        return AsyncV1(self._call, self._stream)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for http in self._http:
            await http.aclose()

    @property
    def base_url(self) -> str:
        """The URL of the first host."""
        return self._session.addresses[0].base_url

    @property
    def hosts(self) -> tuple[str, ...]:
        """The URLs of all hosts."""
        return tuple(address.base_url for address in self._session.addresses)

    @property
    def per_host(self) -> int | None:
        """How many embed requests this client has in flight on a host at most; None: as many as are made."""
        return self._session.per_host

    @property
    def requests_sent(self) -> int:
        """How many requests this client has made, retries included."""
        return self._session.requests_sent

    async def version(self) -> str:
        return await self._call(endpoints.version())

    async def tags(self) -> tuple[ModelInfo, ...]:
        """The models on the server."""
        return await self._call(endpoints.tags())

    async def ps(self) -> tuple[RunningModel, ...]:
        """The models that are loaded."""
        return await self._call(endpoints.ps())

    async def show(
        self,
        model: str,
        *,
        verbose: bool = False,
        system: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ShowReply:
        """What the server knows of a model; `verbose` adds the tokenizer's vocabulary and the list of tensors."""
        return await self._call(endpoints.show(model, verbose=verbose, system=system, options=options))

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

    async def embeddings(
        self, model: str, prompt: str, *, keep_alive: KeepAlive = None, options: Mapping[str, Any] | None = None
    ) -> tuple[float, ...]:
        """Deprecated by the server: use `embed`."""
        warnings.warn("/api/embeddings is deprecated, use embed", DeprecationWarning, stacklevel=2)
        return await self._call(endpoints.embeddings(model, prompt, keep_alive=keep_alive, options=options))

    async def generate(self, model: str, prompt: str = "", **fields: Unpack[GenerateFields]) -> GenerateReply:
        """A completion; `fields` are those of the request. Without a prompt the model is loaded, or unloaded."""
        return await self._call(endpoints.generate(model, prompt, fields))

    def generate_stream(
        self, model: str, prompt: str = "", **fields: Unpack[GenerateFields]
    ) -> AsyncGenerator[GenerateReply]:
        """As `generate`, piece by piece. Closing the generator early tells the server to stop."""
        return self._stream(endpoints.generate_stream(model, prompt, fields))

    async def chat(self, model: str, messages: Sequence[MessageLike], **fields: Unpack[ChatFields]) -> ChatReply:
        """An answer; `fields` are those of the request."""
        return await self._call(endpoints.chat(model, messages, fields))

    def chat_stream(
        self, model: str, messages: Sequence[MessageLike], **fields: Unpack[ChatFields]
    ) -> AsyncGenerator[ChatReply]:
        """As `chat`, piece by piece. Closing the generator early tells the server to stop."""
        return self._stream(endpoints.chat_stream(model, messages, fields))

    async def pull(
        self, model: str, *, insecure: bool = False, on_progress: Callable[[Progress], None] | None = None
    ) -> Progress:
        """Has the server fetch a model; returns when it is there, with the last event."""
        return await _last(self.pull_stream(model, insecure=insecure), on_progress)

    def pull_stream(self, model: str, *, insecure: bool = False) -> AsyncGenerator[Progress]:
        return self._stream(endpoints.pull_stream(model, insecure=insecure))

    async def push(
        self, model: str, *, insecure: bool = False, on_progress: Callable[[Progress], None] | None = None
    ) -> Progress:
        """Has the server send a model to its registry; returns when it is there, with the last event."""
        return await _last(self.push_stream(model, insecure=insecure), on_progress)

    def push_stream(self, model: str, *, insecure: bool = False) -> AsyncGenerator[Progress]:
        return self._stream(endpoints.push_stream(model, insecure=insecure))

    async def create(
        self,
        model: str,
        from_: str | None = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        **fields: Unpack[CreateFields],
    ) -> Progress:
        """Makes a model from another one, or from uploaded files; returns the last event."""
        return await _last(self.create_stream(model, from_, **fields), on_progress)

    def create_stream(
        self, model: str, from_: str | None = None, **fields: Unpack[CreateFields]
    ) -> AsyncGenerator[Progress]:
        return self._stream(endpoints.create_stream(model, from_, fields))

    async def create_planned(
        self,
        model: str,
        plan: CreatePlan,
        *,
        quantize: str | None = None,
        on_bytes: OnBytes | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Progress:
        """Uploads the files that a Modelfile names and makes the model; see `plan_create`."""

        async def uploaded(files: Mapping[str, Path]) -> dict[str, str] | None:
            return {name: await self.upload_blob(path, on_bytes=on_bytes) for name, path in files.items()} or None

        fields = plan.with_files(
            await uploaded(plan.files), await uploaded(plan.adapters), await uploaded(plan.drafts), quantize
        )
        return await self.create(model, plan.source, on_progress=on_progress, **fields)

    async def copy(self, source: str, destination: str) -> None:
        await self._call(endpoints.copy(source, destination))

    async def delete(self, model: str) -> None:
        await self._call(endpoints.delete(model))

    async def blob_exists(self, digest: str) -> bool:
        """Whether the server has the blob `sha256:...`."""
        try:
            await self._call(endpoints.blob(digest))
        except StatusError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def upload_blob(self, path: Path, *, on_bytes: OnBytes | None = None) -> str:
        """Sends a file, streamed from disk, unless the server has it; returns its digest `sha256:...`.

        Raises UsageError if the file cannot be read or changes meanwhile.
        """
        blob = await asyncio.to_thread(Blob.of, path)
        if not await self.blob_exists(blob.digest):
            await self._call(endpoints.upload(blob, on_bytes))
        return blob.digest

    async def _call(self, call: Call[Reply]) -> Reply:
        attempts = Attempts(self._session, model=call.model, spread=call.spread)
        while True:
            host = -1
            try:
                async with self._asking(attempts) as host:
                    if await self._agrees(host, call):
                        return await self._once(host, call)
            except PipelineError as error:
                await asyncio.sleep(await self._after(error, attempts, host))

    async def _once(self, host: int, call: Call[Reply]) -> Reply:
        request = self._session.describe(host, call.method, call.path)
        self._session.counted()
        try:
            reply = await self._http[host].request(
                call.method, call.path, json=call.body, content=_in_thread(call.pieces()), headers=call.headers
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise error_from_httpx(error, request) from error
        return read_reply(call, reply, request)

    async def _stream(self, call: StreamCall[Reply]) -> AsyncGenerator[Reply]:
        attempts = Attempts(self._session, model=call.model)
        while True:
            begun = False
            host = -1
            try:
                async with self._asking(attempts) as host:
                    async with aclosing(self._stream_once(host, call)) as replies:
                        async for reply in replies:
                            begun = True
                            yield reply
                    return
            except PipelineError as error:
                if begun:
                    raise
                await asyncio.sleep(await self._after(error, attempts, host))

    async def _stream_once(self, host: int, call: StreamCall[Reply]) -> AsyncGenerator[Reply]:
        request = self._session.describe(host, "POST", call.path)
        self._session.counted()
        reader = StreamReader(call, request)
        try:
            async with self._http[host].stream("POST", call.path, json=call.body) as reply:
                if reply.status_code != 200:
                    raise error_from_status(reply.status_code, reply.headers, await reply.aread(), request)
                async for piece in reply.aiter_bytes():
                    for item in reader.feed(piece):
                        yield item
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise error_from_httpx(error, request, partial=reader.partial) from error
        for item in reader.finish():
            yield item

    @asynccontextmanager
    async def _asking(self, attempts: Attempts) -> AsyncGenerator[int]:
        """The host to ask, which is given back when the block ends."""
        async with self._freed:
            while (host := attempts.acquire()) is None:
                await self._freed.wait()
        try:
            yield host
        except BaseException as error:
            attempts.release(host, error)
            raise
        else:
            attempts.release(host)
        finally:
            async with self._freed:
                self._freed.notify_all()

    async def _after(self, error: PipelineError, attempts: Attempts, host: int) -> float:
        """Seconds to wait before the next attempt, after a pull if that is what was missing; or raises `error`."""
        if not attempts.pull_is_due(host, error):
            return attempts.delay(host, error)
        async with self._pulling:
            if not attempts.was_pulled_meanwhile(host):
                await self._pull_missing(host, attempts.model or "", error)
        return 0.0

    async def _pull_missing(self, host: int, model: str, missing: PipelineError) -> None:
        try:
            async for progress in self._stream_once(host, endpoints.pull_stream(model)):
                if self._session.on_pull is not None:
                    self._session.on_pull(model, progress)
        except StatusError as error:
            raise cannot_be_pulled(model, missing, error) from error
        self._session.pulled(host, model)

    async def _agrees(self, host: int, call: Call[Any]) -> bool:
        """Whether the host's model is the one that the other hosts have; asked once a host."""
        if not self._session.must_agree(host, call):
            return True
        async with self._comparing:
            if not self._session.must_agree(host, call):
                return True
            return self._session.agree(host, call.model or "", await self._once(host, endpoints.tags()))


def _in_thread(pieces: Iterator[bytes] | None) -> AsyncGenerator[bytes] | None:
    """The pieces of a file, read without holding up the event loop."""

    async def read(pieces: Iterator[bytes]) -> AsyncGenerator[bytes]:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece

    return read(pieces) if pieces is not None else None


async def _last(stream: AsyncGenerator[Progress], on_progress: Callable[[Progress], None] | None) -> Progress:
    progress = Progress()
    async for progress in stream:
        if on_progress is not None:
            on_progress(progress)
    return progress
