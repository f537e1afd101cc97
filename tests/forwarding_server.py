"""A real server on a real socket, the embedded one with real models, whose chat replies can be scripted or broken."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx

from pipeline.server import App, InProcessTransport, ModelStore
from tests.api.scripted_server import listening

CHAT = "/api/chat"


@dataclass(frozen=True)
class Said:
    """A scripted chat reply: its pieces with a pause after each; with `cut` the connection is reset after them."""

    pieces: tuple[str, ...]
    cut: bool = False
    pause: float = 0.0


@dataclass
class Forwarding:
    """`chats` are the replies to come; without one the real model answers. `asked` holds the bodies of chat requests."""

    url: str = ""
    chats: list[Said] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Forwarding
    real: httpx.Client

    def log_message(self, *_: object) -> None:
        pass

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == CHAT:
            self.state.asked.append(json.loads(body))
        try:
            if self.path == CHAT and self.state.chats:
                self.scripted(self.state.chats.pop(0), streamed=json.loads(body).get("stream", True))
            else:
                self.forwarded(body)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the names that http.server looks for

    def begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def piece(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def forwarded(self, body: bytes) -> None:
        with self.real.stream(self.command, self.path, content=body) as reply:
            self.begin(reply.status_code)
            for content in reply.iter_raw():
                if content:
                    self.piece(content)
        self.wfile.write(b"0\r\n\r\n")

    def scripted(self, said: Said, *, streamed: bool) -> None:
        self.begin(200)
        last = {"done": True, "done_reason": "stop", "prompt_eval_count": 900, "eval_count": 9}
        texts = said.pieces if streamed else ("".join(said.pieces),)
        for number, text in enumerate(texts, start=1):
            whole = not said.cut and number == len(texts)
            reply = {"message": {"role": "assistant", "content": text}, "done": whole, **(last if whole else {})}
            self.piece(json.dumps(reply).encode() + b"\n")
            time.sleep(said.pause)
        if said.cut:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


@contextmanager
def forwarding_server(models: Path) -> Iterator[Forwarding]:
    """Runs the server on a free port of the loopback address."""
    state = Forwarding()
    with App(ModelStore(models)) as app:
        transport = InProcessTransport(app)
        with httpx.Client(transport=transport, base_url="http://embedded", timeout=300) as real:
            handler = type("BoundHandler", (Handler,), {"state": state, "real": real})
            with listening(handler) as state.url:
                yield state
