"""The socket server: an application comes in, an HTTP server that people and other tools can reach goes out.

uvicorn does the HTTP; `_Adapter` turns its calls into Requests for the application, in threads, and tells it when
a client has gone. The embedded server's `App` is one application, the search page another.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from pipeline.errors import MissingExtra, PipelineError
from pipeline.server.exchange import BODY_TOO_LARGE, Cancellation, Refusal, Reply, Request, Stream
from pipeline.server.guard import Guard
from pipeline.server.incoming import Incoming
from pipeline.server.pool import BUSY, SHUTTING_DOWN

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Ready = Callable[[str], None]
Waiting = Callable[[int], None]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11434
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TICK = 0.05
_LAST_WORDS = 5.0
"""Seconds that a client has to take the error of a request that was broken off."""


class Application(Protocol):
    """What can be served. All but `guard` may be called in any number of threads."""

    @property
    def threads(self) -> int:
        """How many requests are answered at the same time; others are refused."""
        ...

    def guard(self, bound: str) -> Guard:
        """Who may talk to it where it listens on the address `bound`."""
        ...

    def body_limit(self, method: str, path: str) -> int | None:
        """The longest body in bytes; None where it is handed over unread, as `Request.incoming`."""
        ...

    def handle(self, request: Request) -> Reply:
        """Answers a request; every failure is an answer too."""
        ...

    def refusal(self, path: str, status: int, text: str) -> Reply:
        """An error in the form that the clients of `path` read."""
        ...


def serve(
    app: Application,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    ready: Ready | None = None,
    waiting: Waiting | None = None,
    grace: float = 10.0,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in flight, for at most `grace` seconds.

    A second signal, and the end of that time, break off what still runs; clients get an error then. `ready` is called
    with the base URL once connections are accepted, `waiting` at the first signal with the number of requests in
    flight, if there are any. Does not close the app.
    Raises PipelineError when the address cannot be listened on.
    """
    listener = listen(host, port)
    stop = _Stop(grace)
    in_main = threading.current_thread() is threading.main_thread()
    try:
        with stop.on_signals() if in_main else contextlib.nullcontext():
            _serve(app, listener, stop, ready=ready, waiting=waiting)
    finally:
        listener.close()


@contextlib.contextmanager
def run_in_thread(app: Application, *, host: str = DEFAULT_HOST, port: int = 0) -> Generator[str]:
    """Serve in a thread, on a free port unless one is given; the value is the base URL."""
    listener = listen(host, port)
    started: threading.Event = threading.Event()
    stop = _Stop(grace=5)

    def work() -> None:
        try:
            _serve(app, listener, stop, ready=lambda _: started.set())
        finally:
            started.set()

    thread = threading.Thread(target=work, name="serve", daemon=True)
    thread.start()
    started.wait()
    try:
        yield base_url(listener)
    finally:
        stop.asked = True
        thread.join()
        listener.close()


def base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PipelineError when there can be none."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # Accepted sockets inherit it. asyncio sets it itself only where the protocol's number was given, and without
        # it a reply's body waits 40 ms for the client to acknowledge its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        hints = {
            errno.EADDRINUSE: "another server is running there: use it, or choose another port",
            errno.EACCES: "ports below 1024 need more rights: choose another port",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
        }
        hint = hints.get(error.errno or 0, "choose another host or port")
        raise PipelineError(f"cannot listen on {host}:{port}: {error.strerror or error}", hint=hint) from error


class _Stop:
    """Whether the server has been asked to stop, and to do so at once."""

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.asked = False
        self.at_once = False

    @contextlib.contextmanager
    def on_signals(self) -> Generator[None]:
        """The first signal asks, every further one asks to do it at once."""

        def ask(number: int, frame: object) -> None:
            del number, frame
            self.at_once = self.asked
            self.asked = True

        before = {number: signal.signal(number, ask) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _serve(
    app: Application,
    listener: socket.socket,
    stop: _Stop,
    *,
    ready: Ready | None = None,
    waiting: Waiting | None = None,
) -> None:
    try:
        import uvicorn  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        raise MissingExtra("uvicorn", extra="embedded") from error

    class Server(uvicorn.Server):
        """Says when it accepts connections, and stops when we say so: uvicorn would raise the signals again."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if ready is not None:
                ready(base_url(listener))

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or stop.asked

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if waiting is not None and adapter.in_flight:
                waiting(adapter.in_flight)
            breaking = asyncio.create_task(self._break_off())
            try:
                await super().shutdown(sockets)
            finally:
                breaking.cancel()

        async def _break_off(self) -> None:
            # uvicorn's own time limit would cancel the tasks, which then cannot say anything any more.
            end = time.monotonic() + stop.grace
            while not stop.at_once and time.monotonic() < end:
                await asyncio.sleep(_TICK)
            adapter.stop()
            await asyncio.sleep(_LAST_WORDS)
            for connection in list(self.server_state.connections):
                connection.transport.abort()

    guard = app.guard(listener.getsockname()[0])
    with ThreadPoolExecutor(app.threads, thread_name_prefix="request") as threads:
        adapter = _Adapter(app, guard, threads)
        config = uvicorn.Config(
            adapter,
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        Server(config).run(sockets=[listener])


class _Cancellation(Cancellation):
    """Can also be stopped: whoever works for the request is woken as if the client had gone, but still answers it."""

    def __init__(self) -> None:
        super().__init__()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        with self._lock:
            watchers = list(self._watchers)
        for tell in watchers:
            tell()

    def check(self) -> None:
        super().check()
        if self._stopped:
            raise Refusal(503, SHUTTING_DOWN)

    @contextlib.contextmanager
    def watch(self, tell: Callable[[], None]) -> Generator[None]:
        with super().watch(tell):
            if self._stopped:
                tell()
            yield


class _Adapter:
    """ASGI on one side, `Application.handle` on the other."""

    def __init__(self, app: Application, guard: Guard, threads: ThreadPoolExecutor) -> None:
        self._app = app
        self._guard = guard
        self._threads = threads
        self._stopped = False
        self._reading: set[asyncio.Task[bytes | None]] = set()
        self._running: set[_Cancellation] = set()
        self.in_flight = 0

    def stop(self) -> None:
        """Break off what runs; clients are told why. To be called in the loop's thread."""
        self._stopped = True
        for reading in self._reading:
            reading.cancel()
        for cancellation in list(self._running):
            cancellation.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.in_flight += 1
        try:
            await self._exchange(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._guard.refusal(scope["method"], headers)
        if refused is not None:
            await _send_whole(send, refused, {})
            return
        extra = self._guard.headers(headers)
        cancellation = _Cancellation()
        limit = self._app.body_limit(scope["method"], scope["path"])
        upload = Incoming(receive, cancellation) if limit is None else None
        body = b"" if limit is None else await self._body(receive, scope["path"], headers, limit)
        if not isinstance(body, bytes):
            await _send_whole(send, body, {**extra, "connection": "close"})
            return
        if len(self._running) >= self._app.threads:
            await _send_whole(send, self._app.refusal(scope["path"], 503, BUSY), {**extra, "connection": "close"})
            return
        request = Request(
            method=scope["method"],
            path=scope["path"],
            headers=headers,
            body=body,
            query=scope["query_string"].decode("latin-1"),
            cancellation=cancellation,
            incoming=upload,
            client=(scope.get("client") or ("",))[0],
        )
        # Who takes an upload sees for himself that the client hangs up.
        watcher = asyncio.create_task(_watch(receive, cancellation)) if upload is None else None
        self._running.add(cancellation)
        if self._stopped:
            cancellation.stop()
        try:
            reply = await self._in_thread(self._app.handle, request)
            try:
                await self._send(send, reply, extra)
            finally:
                if isinstance(reply.body, Stream):
                    await self._in_thread(reply.close)
        finally:
            self._running.discard(cancellation)
            cancellation.set()
            if watcher is not None:
                watcher.cancel()

    async def _body(self, receive: Receive, path: str, headers: dict[str, str], limit: int) -> bytes | Reply:
        reading = asyncio.create_task(_read_body(receive, headers, limit))
        self._reading.add(reading)
        try:
            body = await reading
            return body if body is not None else self._app.refusal(path, 413, BODY_TOO_LARGE)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            return self._app.refusal(path, 503, SHUTTING_DOWN)
        finally:
            self._reading.discard(reading)

    async def _send(self, send: Send, reply: Reply, extra: dict[str, str]) -> None:
        if not isinstance(reply.body, Stream):
            await _send_whole(send, reply, extra)
            return
        await send(_start(reply.status, {**reply.headers, **extra}))
        while (chunk := await self._in_thread(next, reply.body, None)) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


async def _read_body(receive: Receive, headers: dict[str, str], limit: int) -> bytes | None:
    """The body, or None where it is longer than `limit` bytes."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


async def _watch(receive: Receive, cancellation: Cancellation) -> None:
    """Wait for the client to hang up. uvicorn says so too when a reply is complete, when nobody listens."""
    while (await receive())["type"] != "http.disconnect":
        pass
    cancellation.set()


def _start(status: int, headers: dict[str, str]) -> dict[str, Any]:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


async def _send_whole(send: Send, reply: Reply, extra: dict[str, str]) -> None:
    assert isinstance(reply.body, bytes)
    headers = {**reply.headers, **extra, "content-length": str(len(reply.body))}
    if reply.status == 204:
        del headers["content-length"]
    await send(_start(reply.status, headers))
    await send({"type": "http.response.body", "body": reply.body})
