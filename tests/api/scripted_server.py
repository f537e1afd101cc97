"""A server on a real socket that gives the answers it was told to give, in order, and keeps what it was asked."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One reply. `pieces` are sent as chunks of their own; with `cut` the connection is reset instead of ended."""

    status: int = 200
    pieces: tuple[bytes, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status=status, pieces=(json.dumps(value).encode(),), headers=headers)


def lines(*values: Any, end: bytes = b"\n") -> bytes:
    return b"".join(json.dumps(value, ensure_ascii=False).encode() + end for value in values)


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Script:
    """The answers to come, the last of them for ever, and the requests that came."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    broken_pipes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def next(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, *_: object) -> None:
        pass

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, decoded(body))
        answer = self.script.next(asked)
        time.sleep(answer.delay)
        try:
            self.give(answer)
        except OSError:
            self.script.broken_pipes += 1
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the names that http.server looks for

    def give(self, answer: Answer) -> None:
        if not (answer.cut and not answer.pieces):
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
        if self.command == "HEAD":
            return
        for piece in answer.pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        if answer.cut:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


def decoded(body: bytes) -> Any:
    """The JSON of a body, or its bytes where it is none."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Runs a server on a free port of the loopback address; the value is its URL."""
    server = QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@contextmanager
def scripted_server() -> Iterator[Script]:
    """Runs the server on a free port of the loopback address."""
    script = Script()
    with listening(type("BoundHandler", (Handler,), {"script": script})) as script.url:
        yield script
