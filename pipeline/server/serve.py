"""The socket server: an `App` comes in, an HTTP server that people and other tools can reach goes out.

uvicorn does the HTTP; `_Adapter` turns its calls into Requests for the app, in threads, and tells the app when
a client has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.errors import MissingExtra, PipelineError
from pipeline.server.app import App, takes_pieces
from pipeline.server.exchange import Cancellation, Reply, Request, Stream, encode, error_reply
from pipeline.server.guard import Guard, allowed_origins
from pipeline.server.incoming import Incoming
from pipeline.server.pool import SHUTTING_DOWN

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Ready = Callable[[str], None]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11434
_TOO_LARGE = "http: request body too large"
_SPARE_THREADS = 32
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    app: App,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    ready: Ready | None = None,
    stopping: Callable[[], None] | None = None,
    grace: float = 10.0,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in flight, for at most `grace` seconds.

    A second signal, and the end of that time, break off what still runs; clients get an error then. `ready` is called
    with the base URL once connections are accepted, `stopping` at the first signal. Does not close the app.
    Raises PipelineError when the address cannot be listened on.
    """
    listener = _listen(host, port)
    in_main = threading.current_thread() is threading.main_thread()
    until = functools.partial(_stop_on_signals, stopping=stopping) if in_main else _stop_never
    try:
        _serve(app, listener, ready=ready, grace=grace, stopping=until)
    finally:
        listener.close()


@contextlib.contextmanager
def run_in_thread(app: App, *, host: str = DEFAULT_HOST, port: int = 0) -> Generator[str]:
    """Serve in a thread, on a free port unless one is given; the value is the base URL."""
    listener = _listen(host, port)
    started: threading.Event = threading.Event()
    box: list[Any] = []

    @contextlib.contextmanager
    def stopping(server: Any) -> Generator[None]:
        box.append(server)
        yield

    def work() -> None:
        try:
            _serve(app, listener, ready=lambda _: started.set(), grace=5, stopping=stopping)
        finally:
            started.set()

    thread = threading.Thread(target=work, name="serve", daemon=True)
    thread.start()
    started.wait()
    try:
        yield base_url(listener)
    finally:
        box[0].should_exit = True
        thread.join()
        listener.close()


def base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        hints = {
            errno.EADDRINUSE: "another server is running there: use it, or choose another port",
            errno.EACCES: "ports below 1024 need more rights: choose another port",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
        }
        hint = hints.get(error.errno or 0, "choose another host or port")
        raise PipelineError(f"cannot listen on {host}:{port}: {error.strerror or error}", hint=hint) from error


def _serve(
    app: App,
    listener: socket.socket,
    *,
    ready: Ready | None,
    grace: float,
    stopping: Callable[[Any], contextlib.AbstractContextManager[None]],
) -> None:
    try:
        import uvicorn  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        raise MissingExtra("uvicorn", extra="embedded") from error

    class Server(uvicorn.Server):
        """Says when it accepts connections, and leaves the signals to us: uvicorn would raise them again."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if ready is not None:
                ready(base_url(listener))

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            with stopping(self):
                yield

    guard = Guard(bound=listener.getsockname()[0], origins=allowed_origins(app.settings.origins))
    with ThreadPoolExecutor(app.settings.max_queue + _SPARE_THREADS, thread_name_prefix="request") as threads:
        config = uvicorn.Config(
            _Adapter(app, guard, threads),
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(grace)),
        )
        Server(config).run(sockets=[listener])


@contextlib.contextmanager
def _stop_on_signals(server: Any, *, stopping: Callable[[], None] | None) -> Generator[None]:
    """The first signal ends gracefully, the second at once."""

    def stop(number: int, frame: object) -> None:
        del number, frame
        if stopping is not None and not server.should_exit:
            stopping()
        server.force_exit = server.should_exit
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _stop_never(server: Any) -> Generator[None]:
    del server
    yield


class _Adapter:
    """ASGI on one side, `App.handle` on the other."""

    def __init__(self, app: App, guard: Guard, threads: ThreadPoolExecutor) -> None:
        self._app = app
        self._guard = guard
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._guard.refusal(scope["method"], headers)
        if refused is not None:
            await _send_whole(send, refused, {})
            return
        extra = self._guard.headers(headers)
        cancellation = Cancellation()
        upload = Incoming(receive, cancellation) if takes_pieces(scope["method"], scope["path"]) else None
        body = b"" if upload else await _read_body(receive, headers, self._app.settings.max_body_bytes)
        if not isinstance(body, bytes):
            await _send_whole(send, body, {**extra, "connection": "close"})
            return
        request = Request(
            method=scope["method"],
            path=scope["path"],
            headers=headers,
            body=body,
            query=scope["query_string"].decode("latin-1"),
            cancellation=cancellation,
            incoming=upload,
        )
        watcher = asyncio.create_task(_watch(receive, cancellation)) if upload is None else None
        try:
            await self._answer(request, send, extra)
        except BaseException:
            cancellation.set()
            raise
        finally:
            if watcher is not None:
                watcher.cancel()

    async def _answer(self, request: Request, send: Send, extra: dict[str, str]) -> None:
        reply: Reply | None = None
        try:
            reply = await self._in_thread(self._app.handle, request)
            assert reply is not None
            try:
                await self._send(send, reply, extra)
            finally:
                request.cancellation.set()
                await self._in_thread(reply.close)
        except asyncio.CancelledError:
            # The server ends and will not wait for this request any longer.
            request.cancellation.set()
            if reply is None:
                await _send_whole(send, error_reply(503, SHUTTING_DOWN), extra)
            elif isinstance(reply.body, Stream):
                line = encode({"error": SHUTTING_DOWN}) + b"\n"
                await send({"type": "http.response.body", "body": line})

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


async def _read_body(receive: Receive, headers: dict[str, str], limit: int) -> bytes | Reply:
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        return error_reply(413, _TOO_LARGE)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return error_reply(413, _TOO_LARGE)
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
