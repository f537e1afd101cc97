"""httpx transports that call an `App` in this process: no socket, no port, the same answers and time limits.

Closing a streamed response before its end cancels the generation, as hanging up on a socket does, and so does a
reply, or a piece of a stream, that does not come within the request's time limit for reading.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakSet

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx

from pipeline.server.app import App, takes_pieces
from pipeline.server.exchange import Reply, Request, Stream
from pipeline.server.incoming import from_stream

Result = TypeVar("Result")

_ASYNC_THREADS = 64
_SYNC_THREADS = 1024
"""More than callers there will be: each of them waits in a thread of its own, and a worker is only made for one."""


class InProcessTransport(httpx.BaseTransport):
    """For `httpx.Client(transport=...)`. Does not close the app: whoever made it does.

    The work is done in threads that are kept for the next request, because only who waits for another thread can stop
    waiting: the engine's loading of a model, for one, cannot be broken off. `close`, from any thread, cancels what is
    being answered and ends the threads that are idle; one at work ends when the work does.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._workers = _Workers()
        self._lock = threading.Lock()
        self._running: WeakSet[_Exchange] = WeakSet()
        """A streamed reply holds its own."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.ReadTimeout when no reply comes in time; the work is cancelled then."""
        limit = _read_limit(request)
        if takes_pieces(request.method, request.url.path):
            assert isinstance(request.stream, httpx.SyncByteStream)
            prepared = _request(request, b"", iter(request.stream))
        else:
            prepared = _request(request, request.read(), None)
        exchange = _Exchange(self._app, prepared)
        with self._lock:
            self._running.add(exchange)
        try:
            reply = self._workers.run(exchange.answer, limit)
        except _Late as late:
            exchange.give_up()
            raise _timed_out(request) from late
        except BaseException:
            exchange.give_up()
            raise
        stream = _Body(request, exchange, reply.body, self._workers, limit) if isinstance(reply.body, Stream) else None
        return _response(request, reply, stream)

    def close(self) -> None:
        with self._lock:
            running = list(self._running)
        for exchange in running:
            exchange.give_up()
        self._workers.close()


class AsyncInProcessTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient(transport=...)`. The work is done in threads; the event loop stays free."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._limiter: anyio.CapacityLimiter | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.ReadTimeout when no reply comes in time; the work is cancelled then."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_ASYNC_THREADS)
        limit = _read_limit(request)
        if takes_pieces(request.method, request.url.path):
            assert isinstance(request.stream, httpx.AsyncByteStream)
            pieces = from_stream(aiter(request.stream), anyio.from_thread.run)
            prepared = _request(request, b"", pieces)
        else:
            prepared = _request(request, await request.aread(), None)
        exchange = _Exchange(self._app, prepared)
        reply: Reply | None = None
        try:
            with anyio.move_on_after(limit):
                reply = await anyio.to_thread.run_sync(exchange.answer, abandon_on_cancel=True, limiter=self._limiter)
        except BaseException:
            exchange.give_up()
            raise
        if reply is None:
            exchange.give_up()
            raise _timed_out(request)
        stream = _AsyncBody(request, reply.body, self._limiter, limit) if isinstance(reply.body, Stream) else None
        return _response(request, reply, stream)


class _Exchange:
    """A request that one thread answers while another waits; a reply that nobody waits for any more is closed."""

    def __init__(self, app: App, request: Request) -> None:
        self._app = app
        self._request = request
        self._lock = threading.Lock()
        self._given_up = False
        self._reply: Reply | None = None

    def answer(self) -> Reply:
        reply = self._app.handle(self._request)
        with self._lock:
            self._reply = reply
            given_up = self._given_up
        if given_up:
            reply.close()
        return reply

    def give_up(self) -> None:
        """Cancels the work, and closes the reply now or when it comes."""
        self._request.cancellation.set()
        with self._lock:
            self._given_up = True
            reply = self._reply
        if reply is not None:
            reply.close()


class _Late(Exception):
    """The work was not done in the time that it was given."""


class _Workers:
    """Threads in which work is done while the caller waits, for no longer than it wants to."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="in-process")

    def run(self, work: Callable[[], Result], limit: float | None) -> Result:
        """What `work` returns or raises; raises _Late when that takes more than `limit` seconds. It goes on then."""
        if limit is None:
            return work()
        future = self._threads.submit(work)
        try:
            return future.result(limit)
        except TimeoutError as error:
            if future.done():  # the work's own time-out, or an end at the last moment
                return future.result()
            future.cancel()
            raise _Late from error

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Body(httpx.SyncByteStream):
    def __init__(
        self, request: httpx.Request, exchange: _Exchange, stream: Stream, workers: _Workers, limit: float | None
    ) -> None:
        self._request = request
        self._exchange = exchange
        self._stream = stream
        self._workers = workers
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                piece = self._workers.run(lambda: next(self._stream, None), self._limit)
            except _Late as late:
                self._stream.close()
                raise _timed_out(self._request) from late
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        self._stream.close()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(
        self, request: httpx.Request, stream: Stream, limiter: anyio.CapacityLimiter, limit: float | None
    ) -> None:
        self._request = request
        self._stream = stream
        self._limiter = limiter
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            piece: bytes | None = None
            with anyio.move_on_after(self._limit) as scope:
                piece = await anyio.to_thread.run_sync(
                    next, self._stream, None, abandon_on_cancel=True, limiter=self._limiter
                )
            if scope.cancelled_caught:
                self._stream.close()
                raise _timed_out(self._request)
            if piece is None:
                return
            yield piece

    async def aclose(self) -> None:
        self._stream.close()


def _read_limit(request: httpx.Request) -> float | None:
    """Seconds to wait for a reply or the next piece of one; None: for ever."""
    return request.extensions.get("timeout", {}).get("read")


def _timed_out(request: httpx.Request) -> httpx.ReadTimeout:
    return httpx.ReadTimeout("the embedded server gave no answer in time", request=request)


def _request(request: httpx.Request, body: bytes, incoming: Iterator[bytes] | None) -> Request:
    return Request(
        method=request.method,
        path=request.url.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        query=request.url.query.decode("ascii", "replace"),
        incoming=incoming,
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
