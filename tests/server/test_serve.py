"""The socket server: addresses, limits, who may talk to it, how it stops."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from pipeline.errors import PipelineError
from pipeline.server import App, ModelStore, ServerSettings, run_in_thread, serve
from pipeline.server.serve import listen
from tests.server.conftest import CHAT, EMBED, MODELS, short_wait

ROOT = Path(__file__).parents[2]
UPLOAD = f"/api/blobs/sha256:{'0' * 64}"


def test_port_in_use(app: App) -> None:
    """The error names the address and says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PipelineError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
            serve(app, port=port)
    assert "another server is running there" in caught.value.hint


def test_replies_are_sent_at_once() -> None:
    """Without this option the body of each reply waits for the client's word that its head has come, 40 ms."""
    with contextlib.closing(listen("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_body_limit(store: ModelStore) -> None:
    """A larger body is refused before it is read, declared or not."""
    with App(store, ServerSettings(max_body_bytes=1000)) as app, run_in_thread(app) as url:
        reply = httpx.post(f"{url}/api/embed", content=b"x" * 2000)
        assert (reply.status_code, reply.json()) == (413, {"error": "http: request body too large"})
        reply = httpx.post(f"{url}/api/embed", content=(b"x" * 500 for _ in range(4)))
        assert reply.status_code == 413
        assert httpx.get(url).status_code == 200


def test_foreign_host_and_origin(url: str) -> None:
    """DNS rebinding and foreign pages get 403; a local page may read the reply."""
    assert httpx.get(url, headers={"host": "evil.example"}).status_code == 403
    assert httpx.get(url, headers={"origin": "http://evil.example"}).status_code == 403
    reply = httpx.get(url, headers={"origin": "http://localhost:3000"})
    assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "server" not in reply.headers


def test_trailing_slash_is_sent_to_the_right_place(url: str) -> None:
    """As the real server's router does."""
    reply = httpx.get(f"{url}/api/tags/")
    assert (reply.status_code, reply.headers["location"]) == (301, "/api/tags")


def test_ipv6(store: ModelStore) -> None:
    """The base URL of an IPv6 address has brackets."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with App(store) as app, run_in_thread(app, host="::1") as url:
        assert url.startswith("http://[::1]:")
        assert httpx.get(url).text == "Ollama is running"


def test_raw_hang_up_cancels(url: str) -> None:
    """A client whose connection just breaks frees the engine too."""
    body = {"model": CHAT, "prompt": "1 2 3", "raw": True, "options": {"num_predict": 3000, "temperature": 0}}
    payload = json.dumps(body).encode()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        head = f"POST /api/generate HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(payload)}\r\n\r\n"
        line.sendall(head.encode() + payload)
        line.recv(1000)
    started = time.perf_counter()
    with httpx.Client(base_url=url, timeout=600) as client:
        short = {**body, "stream": False, "options": {"num_predict": 1}}
        client.post("/api/generate", json=short).raise_for_status()
        assert time.perf_counter() - started < short_wait(client)


@contextlib.contextmanager
def serving(*, grace: float, models: Path = MODELS) -> Generator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its URL. It ends by itself, or the test fails."""
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from pipeline.server import App, ModelStore, serve
        say = lambda *words: print(*words, flush=True)
        with App(ModelStore(Path({str(models)!r}))) as app:
            serve(app, port=0, ready=say, waiting=lambda count: say("waiting for", count), grace={grace})
        say("bye")
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def last_words(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_signal_finishes_what_is_in_flight(number: signal.Signals) -> None:
    """After the signal no connection is taken, the running stream ends whole, and the process ends with 0."""
    body = {"model": CHAT, "prompt": "1 2 3", "raw": True, "options": {"num_predict": 40, "temperature": 0}}
    with serving(grace=600) as (process, url):
        with httpx.stream("POST", f"{url}/api/generate", json=body, timeout=60) as response:
            lines = response.iter_lines()
            next(lines)
            process.send_signal(number)
            last = json.loads(list(lines)[-1])
        assert last["done"] is True
        assert last_words(process) == (0, "waiting for 1\nbye\n", "")


@pytest.mark.parametrize(
    ("path", "prefix"), [("/api/chat", ""), ("/v1/chat/completions", "data: ")], ids=["lines", "events"]
)
def test_stream_is_broken_off_after_the_grace_period(path: str, prefix: str) -> None:
    """Without a second signal too; the last line says why, in the form of the other lines."""
    body = {
        "model": CHAT,
        "stream": True,
        "messages": [{"role": "user", "content": "Count to ten thousand."}],
        "temperature": 0,
        "options": {"temperature": 0, "num_predict": 3000},
    }
    with serving(grace=0.1) as (process, url):
        with httpx.stream("POST", f"{url}{path}", json=body, timeout=60) as response:
            lines = (line for line in response.iter_lines() if line)
            next(lines)
            process.send_signal(signal.SIGTERM)
            last = json.loads(list(lines)[-1].removeprefix(prefix))
        message = last["error"]["message"] if prefix else last["error"]
        assert message == "the server is shutting down"
        assert last_words(process) == (0, "waiting for 1\nbye\n", "")


def test_long_request_is_broken_off_after_the_grace_period() -> None:
    """Thousands of texts to embed: what the engine has begun is all that is waited for, and the client is told why."""
    body = {"model": EMBED, "input": ["word " * 250] * 4000}
    replies: list[httpx.Response] = []
    with serving(grace=0.1) as (process, url):
        thread = threading.Thread(target=lambda: replies.append(httpx.post(f"{url}/api/embed", json=body, timeout=600)))
        thread.start()
        while not httpx.get(f"{url}/api/ps", timeout=60).json()["models"]:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert last_words(process) == (0, "waiting for 1\nbye\n", "")
    assert (replies[0].status_code, replies[0].json()) == (503, {"error": "the server is shutting down"})


@pytest.mark.parametrize("signals", [1, 2], ids=["end of grace", "second signal"])
@pytest.mark.parametrize("path", ["/api/embed", "/v1/embeddings", UPLOAD], ids=["embed", "v1", "upload"])
def test_half_a_request_does_not_keep_the_server(path: str, signals: int, tmp_path: Path) -> None:
    """A client that never sends the rest of its body is told that the server stops, in the form that it reads."""
    with serving(grace=0.1 if signals == 1 else 600, models=tmp_path) as (process, url):
        assert process.stdout is not None
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as line:
            line.sendall(f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100\r\n\r\n{{".encode())
            assert httpx.get(url, timeout=60).is_success, "what came before it has been taken in, too"
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "waiting for 1\n"
            if signals == 2:
                process.send_signal(signal.SIGTERM)
            reply = b"".join(iter(lambda: line.recv(1000), b""))
        assert reply.startswith(b"HTTP/1.1 503 ")
        error = json.loads(reply.partition(b"\r\n\r\n")[2])["error"]
        assert (error["message"] if path == "/v1/embeddings" else error) == "the server is shutting down"
        assert last_words(process) == (0, "bye\n", "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "half a blob is removed"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_second_signal_breaks_off_what_runs(stream: bool) -> None:
    """A request that would take minutes ends with an error that says why, without a traceback, and with status 0."""
    command = [sys.executable, "-m", "pipeline", "serve", "--host", "127.0.0.1:0", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OLLAMA_MODELS": str(MODELS)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        options = {"num_predict": 3000, "temperature": 0}
        body = {"model": CHAT, "prompt": "1 2 3 4", "raw": True, "stream": stream, "options": options}
        with httpx.Client(base_url=url, timeout=60) as client:
            client.post("/api/generate", json={"model": CHAT})
            answers: list[tuple[int, str]] = []

            def ask() -> None:
                with client.stream("POST", "/api/generate", json=body) as response:
                    answers.append((response.status_code, response.read().decode().splitlines()[-1]))

            thread = threading.Thread(target=ask)
            thread.start()
            while not client.get("/api/ps").json()["models"]:
                time.sleep(0.05)
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            thread.join(30)
        _, errors = process.communicate(timeout=30)
    status, last = answers[0]
    assert (status, json.loads(last)) == (200 if stream else 503, {"error": "the server is shutting down"})
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert "waiting for 1 request, for 10 seconds at most; Ctrl-C again stops now" in errors
