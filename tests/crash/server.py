"""The embedding server of the crash tests: two models on a real socket, whose vectors follow from model and text."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests import embed_server

MODELS = {"crash-one": 16, "crash-two": 24}
"""Dimension by name; neither is a model that is known by name, so no prefixes are added."""


def vector_for(model: str, text: str) -> NDArray[np.float32]:
    """The unit vector that `model` gives `text` here."""
    return embed_server.vector_of(f"{model}: {text}", MODELS[model])


@dataclass
class Seen:
    """What was asked for: the texts by model, in order, and the number of requests for embeddings."""

    delay: float = 0.0
    texts: list[tuple[str, str]] = field(default_factory=list)
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        with self.lock:
            self.texts, self.requests = [], 0


class Handler(embed_server.Handler):
    seen: Seen

    def do_GET(self) -> None:  # noqa: N802 - the name that the base class calls
        self.reply(200, {"models": [entry(name) for name in MODELS], "version": "0.33.0"})

    def do_POST(self) -> None:  # noqa: N802 - likewise
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = body["model"].removesuffix(":latest")
        if model not in MODELS:
            self.reply(404, {"error": f"model '{model}' not found"})
        elif self.path == "/api/show":
            info = {"bert.context_length": 512, "bert.embedding_length": MODELS[model]}
            self.reply(200, {"model_info": info, "capabilities": ["embedding"], "details": {"family": "bert"}})
        else:
            with self.seen.lock:
                self.seen.requests += 1
                self.seen.texts.extend((model, text) for text in body["input"])
            time.sleep(self.seen.delay)
            rows = [vector_for(model, text).tolist() for text in body["input"]]
            self.reply(200, {"model": model, "embeddings": rows, "prompt_eval_count": len(rows)})


def entry(name: str) -> dict[str, Any]:
    tag = f"{name}:latest"
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"name": tag, "model": tag, "size": 1, "digest": digest, "capabilities": ["embedding"], "details": {}}


@contextmanager
def crash_server(seen: Seen) -> Iterator[str]:
    """Runs the server on a free port of the loopback address and gives its URL."""
    server = embed_server.QuietServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
