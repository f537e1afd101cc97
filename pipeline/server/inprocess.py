"""httpx transports that call an `App` in this process: no socket, no port, the same answers.

Closing a streamed response before its end cancels the generation, as hanging up on a socket does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.to_thread
import httpx

from pipeline.server.app import App
from pipeline.server.exchange import Cancellation, Reply, Request, Stream

_THREADS = 64


class InProcessTransport(httpx.BaseTransport):
    """For `httpx.Client(transport=...)`. Does not close the app: whoever made it does."""

    def __init__(self, app: App) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = self._app.handle(_request(request, request.read(), Cancellation()))
        stream = _Body(reply.body) if isinstance(reply.body, Stream) else None
        return _response(request, reply, stream)


class AsyncInProcessTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient(transport=...)`. The work is done in threads; the event loop stays free."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._limiter: anyio.CapacityLimiter | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_THREADS)
        cancellation = Cancellation()
        ours = _request(request, await request.aread(), cancellation)
        try:
            reply = await anyio.to_thread.run_sync(self._answer, ours, abandon_on_cancel=True, limiter=self._limiter)
        except BaseException:
            cancellation.set()
            raise
        stream = _AsyncBody(reply.body, self._limiter) if isinstance(reply.body, Stream) else None
        return _response(request, reply, stream)

    def _answer(self, request: Request) -> Reply:
        reply = self._app.handle(request)
        if request.cancellation.is_set():
            reply.close()  # nobody waits for it any more
        return reply


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, stream: Stream, limiter: anyio.CapacityLimiter) -> None:
        self._stream = stream
        self._limiter = limiter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            chunk = await anyio.to_thread.run_sync(
                next, self._stream, None, abandon_on_cancel=True, limiter=self._limiter
            )
            if chunk is None:
                return
            yield chunk

    async def aclose(self) -> None:
        self._stream.close()


def _request(request: httpx.Request, body: bytes, cancellation: Cancellation) -> Request:
    return Request(
        method=request.method,
        path=request.url.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        query=request.url.query.decode("ascii", "replace"),
        cancellation=cancellation,
    )


def _response(
    request: httpx.Request, reply: Reply, stream: httpx.SyncByteStream | httpx.AsyncByteStream | None
) -> httpx.Response:
    if stream is not None:
        return httpx.Response(reply.status, headers=dict(reply.headers), stream=stream, request=request)
    assert isinstance(reply.body, bytes)
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    body = b"" if request.method == "HEAD" else reply.body
    return httpx.Response(reply.status, headers=headers, stream=httpx.ByteStream(body), request=request)
