"""Plain HTTP for httpx over the standard library's client: large replies are read in one go, not in small pieces.

In: httpx requests to `http://` addresses. Out: httpx responses. Measured by `benchmarks/embed_transport.py`: a reply of
64 embeddings costs two thirds of the time that httpx's own transport takes. Errors are httpx's own classes.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

IDLE_CONNECTIONS = 32
PIECE_BYTES = 1 << 16

Timeouts = dict[str, float | None]


class PlainTransport(httpx.BaseTransport):
    """Keeps connections for reuse, each used by one request at a time; may be shared by threads.

    Closing it ends requests that are under way with an error, in whatever thread they wait.
    """

    def __init__(self) -> None:
        self._idle: list[http.client.HTTPConnection] = []
        self._busy: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        timeouts: Timeouts = request.extensions.get("timeout", {})
        connection = self._connection(request, timeouts)
        try:
            with _mapped(request, httpx.WriteTimeout, httpx.WriteError):
                _send(connection, request, timeouts)
            with _mapped(request, httpx.ReadTimeout, httpx.ReadError):
                _set_timeout(connection, timeouts.get("read"))
                reply = connection.getresponse()
        except BaseException:
            self.give_up(connection)
            raise
        return httpx.Response(
            reply.status,
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.getheaders()],
            stream=_Body(self, connection, reply, request),
        )

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for connection in idle:
            connection.close()
        for connection in busy:
            # A thread that waits in it is woken by that, and closes it.
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """A connection whose reply has been read whole may be used again."""
        with self._lock:
            self._busy.discard(connection)
            if not self._closed and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def give_up(self, connection: http.client.HTTPConnection) -> None:
        """A connection that is broken, or whose reply nobody reads to its end."""
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _connection(self, request: httpx.Request, timeouts: Timeouts) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
                if connection is not None:
                    self._busy.add(connection)
            if connection is None:
                break
            if _is_alive(connection):
                return connection
            self.give_up(connection)
        url = request.url
        connection = http.client.HTTPConnection(url.host, url.port or 80, timeout=timeouts.get("connect"))
        with _mapped(request, httpx.ConnectTimeout, httpx.ConnectError):
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._busy.add(connection)
        return connection


class _Body(httpx.SyncByteStream):
    """A reply's bytes: whole where the server said how many, else piece by piece as they come."""

    def __init__(
        self,
        transport: PlainTransport,
        connection: http.client.HTTPConnection,
        reply: http.client.HTTPResponse,
        request: httpx.Request,
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._reply = reply
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _mapped(self._request, httpx.ReadTimeout, httpx.ReadError):
            if self._reply.length is not None:
                yield self._reply.read()
                return
            while piece := self._reply.read1(PIECE_BYTES):
                yield piece

    def close(self) -> None:
        whole = self._reply.isclosed() and not self._reply.will_close
        self._reply.close()
        if whole:
            self._transport.give_back(self._connection)
        else:
            self._transport.give_up(self._connection)


def _send(connection: http.client.HTTPConnection, request: httpx.Request, timeouts: Timeouts) -> None:
    _set_timeout(connection, timeouts.get("write"))
    target = request.url.raw_path.decode("ascii")
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.raw:
        connection.putheader(name.decode("latin-1"), value.decode("latin-1"))
    chunked = request.headers.get("transfer-encoding", "").lower() == "chunked"
    connection.endheaders(
        request.stream if isinstance(request.stream, httpx.SyncByteStream) else None, encode_chunked=chunked
    )


def _set_timeout(connection: http.client.HTTPConnection, seconds: float | None) -> None:
    connection.sock.settimeout(seconds)


def _is_alive(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has kept an idle connection open: one with something to read has been closed."""
    line: Any = connection.sock
    if line is None:
        return False
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return not poll.poll(0)


@contextmanager
def _mapped(
    request: httpx.Request, on_timeout: type[httpx.TimeoutException], on_failure: type[httpx.NetworkError]
) -> Generator[None]:
    try:
        yield
    except TimeoutError as error:
        raise on_timeout(str(error) or "timed out", request=request) from error
    except OSError as error:
        raise on_failure(str(error), request=request) from error
    except http.client.HTTPException as error:
        text = str(error) or type(error).__name__
        raise httpx.RemoteProtocolError(text, request=request) from error
