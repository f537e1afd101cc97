"""A stand-in for an embedding server that costs next to nothing, so that what a client costs can be seen.

In: the embed requests of the Ollama API, and `/v1/embeddings`. Out: vectors that were written as JSON beforehand, one
of a thousand by the text's checksum: equal texts have equal vectors. With `--latency` a request takes its time as on a
real one: `--base` milliseconds and `--each` for a text, in one of `--slots` at a time, kept to the clock by a schedule.
`GET /stats` tells what came since `POST /reset`. The port is printed on the first line.
"""

import argparse
import asyncio
import json
import math
import random
import time
import zlib
from pathlib import Path
from typing import Any

MODEL = "stand-in"
VECTORS = 1024


class Stand:
    """What the server knows: its vectors, its clock, and what it has seen."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.dimension: int = options.dimension
        self.base, self.each = options.base / 1000, options.each / 1000
        self.free_at = [0.0] * (options.slots if options.latency else 0)
        self.vocabulary = json.loads(options.vocabulary.read_text()) if options.vocabulary else None
        self.vectors = [vector(seed, self.dimension) for seed in range(VECTORS)]
        self.reset()

    def reset(self) -> None:
        self.requests = self.texts = self.largest = self.in_flight = self.most_in_flight = self.connections = 0
        self.busy = self.first = self.last = 0.0

    def stats(self) -> dict[str, Any]:
        names = ("requests", "texts", "largest", "most_in_flight", "connections", "busy")
        return {**{name: getattr(self, name) for name in names}, "span": self.last - self.first}

    def embeddings(self, texts: list[str]) -> bytes:
        return b",".join([self.vectors[zlib.crc32(text.encode()) % VECTORS] for text in texts])

    def delay(self, count: int) -> float:
        """Counts a request that has come, and says when its reply is due, in seconds from now."""
        now = time.monotonic()
        self.first = self.first or now
        self.requests += 1
        self.texts += count
        self.largest = max(self.largest, count)
        if not self.free_at:
            return 0.0
        slot = min(range(len(self.free_at)), key=self.free_at.__getitem__)
        cost = self.base + self.each * count
        self.busy += cost
        self.free_at[slot] = max(now, self.free_at[slot]) + cost
        return self.free_at[slot] - now

    def show(self, *, verbose: bool) -> dict[str, Any]:
        info: dict[str, Any] = {
            "general.architecture": "bert",
            "bert.context_length": 2048,
            "bert.embedding_length": self.dimension,
        }
        if self.vocabulary is not None:
            info["tokenizer.ggml.model"] = "bert"
            info["tokenizer.ggml.tokens"] = self.vocabulary if verbose else None
        return {"details": {"family": "bert"}, "model_info": info, "capabilities": ["embedding"], "parameters": ""}


def vector(seed: int, dimension: int) -> bytes:
    """A unit vector as a server writes it: JSON numbers with the digits that a float32 has."""
    draw = random.Random(seed)
    numbers = [draw.gauss(0, 1) for _ in range(dimension)]
    length = math.sqrt(sum(number * number for number in numbers))
    return json.dumps([float(f"{number / length:.8g}") for number in numbers], separators=(",", ":")).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 with `Content-Length`, one request after the other."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.received = bytearray()
        self.need = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.stand.connections += 1

    def data_received(self, data: bytes) -> None:
        self.received += data
        while len(self.received) >= self.need:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.received[:end])
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.need = end + 4 + length
            if len(self.received) < self.need:
                return
            body = bytes(self.received[end + 4 : self.need])
            del self.received[: self.need]
            self.need = 0
            self.answer(head.split(b" ", 2)[1].decode(), body)
            if not self.received:
                return

    def answer(self, path: str, body: bytes) -> None:
        stand = self.stand
        request: dict[str, Any] = json.loads(body) if body else {}
        if path in ("/api/embed", "/v1/embeddings", "/api/embeddings"):
            texts = request.get("input", request.get("prompt", ""))
            texts = [texts] if isinstance(texts, str) else texts
            delay = stand.delay(len(texts))
            stand.in_flight += 1
            stand.most_in_flight = max(stand.most_in_flight, stand.in_flight)
            if delay > 0:
                asyncio.get_running_loop().call_later(delay, self.embedded, path, texts)
            else:
                self.embedded(path, texts)
        elif path == "/api/show":
            self.send(json.dumps(stand.show(verbose=bool(request.get("verbose")))).encode())
        elif path == "/api/tags":
            entry = {"name": f"{MODEL}:latest", "model": f"{MODEL}:latest", "digest": "5" * 64, "size": 1}
            self.send(
                json.dumps({"models": [{**entry, "modified_at": "2026-01-01T00:00:00Z", "details": {}}]}).encode()
            )
        elif path == "/api/version":
            self.send(b'{"version":"0.33.0"}')
        elif path == "/stats":
            self.send(json.dumps(stand.stats()).encode())
        elif path == "/reset":
            stand.reset()
            self.send(b"{}")
        else:
            self.send(b'{"error":"404 page not found"}', status=b"404 Not Found")

    def embedded(self, path: str, texts: list[str]) -> None:
        stand = self.stand
        stand.in_flight -= 1
        if path == "/api/embed":
            content = b'{"model":"stand-in","embeddings":[' + stand.embeddings(texts) + b'],"prompt_eval_count":1}'
        elif path == "/api/embeddings":
            content = b'{"embedding":' + stand.embeddings(texts) + b"}"
        else:
            rows = [
                b'{"object":"embedding","index":%d,"embedding":%s}' % (index, stand.embeddings([text]))
                for index, text in enumerate(texts)
            ]
            usage = b'"usage":{"prompt_tokens":1,"total_tokens":1}'
            content = b'{"object":"list","model":"stand-in","data":[' + b",".join(rows) + b"]," + usage + b"}"
        self.send(content)
        stand.last = time.monotonic()

    def send(self, content: bytes, *, status: bytes = b"200 OK") -> None:
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(content))
        self.transport.write(head + content)


async def serve(options: argparse.Namespace) -> None:
    stand = Stand(options)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stand), "127.0.0.1", options.port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--base", type=float, default=5.0, help="milliseconds of a request")
    parser.add_argument("--each", type=float, default=0.2, help="milliseconds of a text")
    parser.add_argument("--slots", type=int, default=4, help="requests worked on at a time")
    parser.add_argument("--vocabulary", type=Path, help="a JSON list of WordPiece tokens, for /api/show")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
