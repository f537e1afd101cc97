"""One `/api/embed` call of 64 x 1024 numbers: which JSON decoder, which transport, and what our client adds.

A stand-in server in a process of its own answers every request with the same bytes at once. The cases take turns, many
rounds over, so that a busy moment of the machine meets all of them; what is printed is the median of a call's wall time
and of its CPU time in this process. Cases whose package is missing are left out: `pip install orjson msgspec ollama`
brings all of them.
"""

import argparse
import http.client
import importlib.util
import json
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import simdjson

from pipeline.api import Client, RetryPolicy
from pipeline.api.embeddings import parse_embed_reply

ROWS, WIDTH = 64, 1024
TEXTS = [f"text number {number}, as long as a short sentence is" for number in range(ROWS)]
BODY = {"model": "m", "input": TEXTS, "truncate": False}


def reply_body() -> bytes:
    rows = np.random.default_rng(1).standard_normal((ROWS, WIDTH)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    numbers = [[float(str(value)) for value in row] for row in rows]
    return json.dumps({"model": "m", "embeddings": numbers, "prompt_eval_count": 640}, separators=(",", ":")).encode()


def serve(content: bytes, ready: Any) -> None:
    """Answers HTTP/1.1 requests on a free port, a thread a connection, with the same bytes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    listener = socket.create_server(("127.0.0.1", 0))
    ready.send(listener.getsockname()[1])

    def answer(line: socket.socket) -> None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = line.makefile("rb")
        while stream.readline():
            length = 0
            while (header := stream.readline().strip().lower()) != b"":
                if header.startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            stream.read(length)
            line.sendall(head + content)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


class BareSocket:
    """The floor: the same bytes over a socket, read and not looked at."""

    def __init__(self, port: int, length: int) -> None:
        self.line = socket.create_connection(("127.0.0.1", port))
        body = json.dumps(BODY).encode()
        self.request = b"POST /api/embed HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        self.buffer = bytearray(length + 4096)
        self.length = length

    def __call__(self) -> None:
        self.line.sendall(self.request)
        view = memoryview(self.buffer)
        got = self.line.recv_into(view)
        wanted = self.buffer.find(b"\r\n\r\n") + 4 + self.length
        while got < wanted:
            got += self.line.recv_into(view[got:])


def with_http_client(port: int) -> Callable[[], Any]:
    line = http.client.HTTPConnection("127.0.0.1", port)

    def call() -> Any:
        line.request("POST", "/api/embed", json.dumps(BODY).encode(), {"Content-Type": "application/json"})
        return parse_embed_reply(line.getresponse().read(), count=ROWS)

    return call


def with_httpx(port: int, decode: Callable[[bytes], Any]) -> Callable[[], Any]:
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    return lambda: decode(client.post("/api/embed", json=BODY).content)


def stdlib(content: bytes) -> Any:
    return np.array(json.loads(content)["embeddings"], dtype=np.float32)


def decoders() -> dict[str, Callable[[bytes], Any]]:
    found: dict[str, Callable[[bytes], Any]] = {
        "simdjson, as a buffer (ours)": lambda content: parse_embed_reply(content, count=ROWS),
        "stdlib json": stdlib,
        "simdjson, to lists": lambda content: np.array(simdjson.loads(content)["embeddings"], dtype=np.float32),
    }
    if importlib.util.find_spec("orjson"):
        import orjson

        found["orjson"] = lambda content: np.array(orjson.loads(content)["embeddings"], dtype=np.float32)
    if importlib.util.find_spec("msgspec"):
        import msgspec

        reader = msgspec.json.Decoder(dict[str, Any])
        found["msgspec"] = lambda content: np.array(reader.decode(content)["embeddings"], dtype=np.float32)
    return found


def transports(port: int, length: int) -> dict[str, Callable[[], Any]]:
    client = Client(f"127.0.0.1:{port}", retry=RetryPolicy.none())
    found: dict[str, Callable[[], Any]] = {
        "bare socket, not decoded": BareSocket(port, length),
        "http.client + simdjson": with_http_client(port),
        "httpx's transport + simdjson": with_httpx(port, lambda content: parse_embed_reply(content, count=ROWS)),
        "pipeline.Client.embed": lambda: client.embed("m", TEXTS),
        "httpx's transport + stdlib json": with_httpx(port, stdlib),
    }
    if importlib.util.find_spec("ollama"):
        import ollama

        official = ollama.Client(f"http://127.0.0.1:{port}")
        found["ollama.Client.embed"] = lambda: official.embed("m", TEXTS)
        found["ollama.Client.embed, to float32"] = lambda: np.array(
            official.embed("m", TEXTS).embeddings, dtype=np.float32
        )
    return found


def measured(cases: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall and CPU milliseconds of each case; the cases take turns."""
    walls: dict[str, list[float]] = {name: [] for name in cases}
    processor: dict[str, list[float]] = {name: [] for name in cases}
    for round_number in range(rounds + 2):
        for name, call in cases.items():
            wall, used = time.perf_counter(), time.process_time()
            call()
            if round_number >= 2:
                walls[name].append(1000 * (time.perf_counter() - wall))
                processor[name].append(1000 * (time.process_time() - used))
    return {name: (statistics.median(walls[name]), statistics.median(processor[name])) for name in cases}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    content = reply_body()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(content, theirs), daemon=True)
    server.start()
    port = ours.recv()
    by_decoder = {name: (lambda decode=decode: decode(content)) for name, decode in decoders().items()}
    results = {
        "decoders": measured(by_decoder, options.rounds),
        "calls": measured(transports(port, len(content)), options.rounds),
    }
    server.terminate()
    if options.json:
        print(json.dumps({"bytes": len(content), **results}))
        return
    print(f"a reply of {ROWS} x {WIDTH} numbers, {len(content) / 1e6:.2f} MB; medians of {options.rounds}")
    for title, rows in results.items():
        first = next(iter(rows.values()))[1]
        print(f"\n{title:<34} {'wall ms':>8} {'CPU ms':>8} {'CPU ratio':>10}")
        for name, (wall, used) in rows.items():
            print(f"{name:<34} {wall:>8.2f} {used:>8.2f} {used / first:>10.1f}")


if __name__ == "__main__":
    main()
