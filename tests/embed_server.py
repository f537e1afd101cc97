"""A server on a real socket that speaks the embedding part of the wire and fails as it is told.

Vectors are drawn from the text alone, so equal texts have equal vectors and a test can compute what must be stored.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS_OF_CONTEXT = 200


def vector_of(text: str, dimension: int) -> NDArray[np.float32]:
    """The unit vector that this server gives `text`."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    row = np.random.default_rng(seed).standard_normal(dimension)
    return (row / np.linalg.norm(row)).astype(np.float32)


@dataclass
class Behaviour:
    """What the server does, and what it has seen.

    A text that contains a key of `poison` fails as the value says: `500`, `400`, `nan`, or `long`.
    """

    model: str = "all-minilm"
    dimension: int = 384
    digest: str = "d" * 64
    present: bool = True
    cannot_pull: str = ""
    poison: dict[str, str] = field(default_factory=dict)
    longest: int | None = None
    busy: int = 0
    delay: float = 0.0
    drop_last: bool = False
    reply_dimension: int | None = None
    die_after: int | None = None
    requests: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, path: str) -> int:
        return self.requests.count(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.behaviour.requests.append(self.path)
        if self.path == "/api/version":
            self.reply(200, {"version": "0.33.0"})
        elif self.path == "/api/tags":
            self.reply(200, {"models": [self.entry()] if self.behaviour.present else []})
        else:
            self.reply(404, {"error": "404 page not found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.behaviour.lock:
            self.behaviour.requests.append(self.path)
        if self.path == "/api/pull":
            self.pull()
        elif not self.behaviour.present:
            self.reply(404, {"error": f"model '{body['model']}' not found"})
        elif self.path == "/api/show":
            self.reply(200, self.show())
        elif self.path == "/api/embed":
            self.embed(body)
        else:
            self.reply(404, {"error": "404 page not found"})

    def entry(self) -> dict[str, Any]:
        name = f"{self.behaviour.model}:latest"
        return {
            "name": name,
            "model": name,
            "modified_at": "2026-01-01T00:00:00Z",
            "size": 1,
            "digest": self.behaviour.digest,
            "details": {"family": "bert"},
            "capabilities": ["embedding"],
        }

    def show(self) -> dict[str, Any]:
        return {
            "parameters": "num_ctx                        256",
            "details": {"family": "bert"},
            "model_info": {
                "general.architecture": "bert",
                "bert.context_length": 512,
                "bert.embedding_length": self.behaviour.dimension,
            },
            "capabilities": ["embedding"],
        }

    def pull(self) -> None:
        if self.behaviour.cannot_pull:
            self.reply(500, {"error": self.behaviour.cannot_pull})
            return
        self.behaviour.present = True
        lines = [{"status": "pulling manifest"}, {"status": "success"}]
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        self.send(200, content, "application/x-ndjson")

    def embed(self, body: dict[str, Any]) -> None:
        behaviour = self.behaviour
        with behaviour.lock:
            behaviour.in_flight += 1
            behaviour.most_in_flight = max(behaviour.most_in_flight, behaviour.in_flight)
            number = behaviour.count("/api/embed")
            busy = behaviour.busy > 0
            behaviour.busy -= busy
        try:
            time.sleep(behaviour.delay)
            if behaviour.die_after is not None and number > behaviour.die_after:
                self.close_connection = True
                self.connection.close()
                return
            if busy:
                self.reply(503, {"error": "server busy, please try again.  maximum pending requests exceeded"})
                return
            self.embed_texts(body["input"])
        finally:
            with behaviour.lock:
                behaviour.in_flight -= 1

    def embed_texts(self, texts: list[str]) -> None:
        behaviour = self.behaviour
        faults = {fault for text in texts for key, fault in behaviour.poison.items() if key in text}
        if behaviour.longest is not None and any(len(text.split()) > behaviour.longest for text in texts):
            faults.add("long")
        if "long" in faults:
            self.reply(400, {"error": "the input length exceeds the context length"})
        elif "400" in faults:
            self.reply(400, {"error": "invalid input"})
        elif "500" in faults:
            self.reply(500, {"error": "failed to encode response: json: unsupported value: NaN"})
        else:
            with behaviour.lock:
                behaviour.texts.extend(texts)
                behaviour.batches.append(len(texts))
            rows = [vector_of(text, behaviour.reply_dimension or behaviour.dimension).tolist() for text in texts]
            if "nan" in faults:
                rows[0][0] = float("nan")
            if behaviour.drop_last:
                rows.pop()
            self.reply(200, {"model": behaviour.model, "embeddings": rows, "prompt_eval_count": len(texts)})

    def reply(self, status: int, value: Any) -> None:
        self.send(status, json.dumps(value).encode(), "application/json; charset=utf-8")

    def send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def embed_server(behaviour: Behaviour) -> Iterator[str]:
    """Runs the server on a free port of the loopback address and gives its URL."""
    handler = type("BoundHandler", (Handler,), {"behaviour": behaviour})
    server = QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
