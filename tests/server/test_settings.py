"""Each variable of the environment, by what it changes on a running server."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from pipeline.server import App, ModelStore, ServerSettings, run_in_thread
from pipeline.server.pool import BUSY
from tests.server.conftest import CHAT, EMBED

ROOT = Path(__file__).parents[2]
LONG = {"model": CHAT, "prompt": "1 2 3 4", "raw": True, "options": {"num_predict": 3000, "temperature": 0}}
SHORT = {"model": CHAT, "prompt": "1 2", "raw": True, "stream": False, "options": {"num_predict": 2, "temperature": 0}}


@contextmanager
def server(store: ModelStore, **environment: str) -> Generator[httpx.Client]:
    settings = ServerSettings.from_environment({f"OLLAMA_{name}": value for name, value in environment.items()})
    with App(store, settings) as app, run_in_thread(app) as url, httpx.Client(base_url=url, timeout=120) as client:
        yield client


@contextmanager
def streaming(client: httpx.Client) -> Generator[Iterator[str]]:
    """A generation that goes on for as long as the block."""
    with client.stream("POST", "/api/generate", json=LONG) as response:
        lines = response.iter_lines()
        next(lines)
        yield lines


def running(client: httpx.Client) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in client.get("/api/ps").json()["models"]}


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_num_parallel(store: ModelStore, parallel: int) -> None:
    """So many texts are written at once, each with the whole context; where none may wait, the next is refused."""
    from contextlib import ExitStack

    settings = {"NUM_PARALLEL": str(parallel), "MAX_QUEUE": "0", "CONTEXT_LENGTH": "4096"}
    with server(store, **settings) as client, ExitStack() as open_streams:
        streams = [open_streams.enter_context(streaming(client)) for _ in range(parallel)]
        refused = client.post("/api/generate", json=SHORT)
        assert (refused.status_code, refused.json()) == (503, {"error": BUSY})
        assert [json.loads(next(lines))["done"] for lines in streams] == [False] * parallel
        assert running(client)[CHAT]["context_length"] == 4096


def test_max_queue(store: ModelStore) -> None:
    """One may wait: of two that come while a third is answered, one is refused and the other has its turn later."""
    with server(store, MAX_QUEUE="1") as client:
        replies: list[httpx.Response] = []
        first_in = threading.Event()

        def ask() -> None:
            replies.append(client.post("/api/generate", json=SHORT))
            first_in.set()

        with streaming(client):
            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            assert first_in.wait(60)
            assert [(reply.status_code, reply.json()) for reply in replies] == [(503, {"error": BUSY})]
        for thread in threads:
            thread.join()
        assert [reply.status_code for reply in replies] == [503, 200]


@pytest.mark.parametrize(("most", "left"), [("1", {CHAT}), ("2", {f"{EMBED}:latest", CHAT})])
def test_max_loaded_models(store: ModelStore, most: str, left: set[str]) -> None:
    """A further model takes the place of the one that was used least recently."""
    with server(store, MAX_LOADED_MODELS=most) as client:
        client.post("/api/embed", json={"model": EMBED, "input": "a"}).raise_for_status()
        client.post("/api/generate", json=SHORT).raise_for_status()
        assert set(running(client)) == left


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("7200", 7200), ("nonsense", 300)], ids=["duration", "seconds", "default"]
)
def test_keep_alive(store: ModelStore, text: str, seconds: int) -> None:
    """A model goes so long after its last use, unless the request says otherwise."""
    with server(store, KEEP_ALIVE=text) as client:
        body = {"model": EMBED, "input": "a"}
        before = datetime.now().astimezone()
        client.post("/api/embed", json=body).raise_for_status()
        end = datetime.fromisoformat(str(running(client)[f"{EMBED}:latest"]["expires_at"]))
        assert timedelta(seconds=seconds) <= end - before
        assert end - datetime.now().astimezone() <= timedelta(seconds=seconds)
        client.post("/api/embed", json={**body, "keep_alive": 0}).raise_for_status()
        assert running(client) == {}


def test_keep_alive_of_none_and_of_ever(store: ModelStore) -> None:
    """0 unloads after each request, a negative one never."""
    body = {"model": EMBED, "input": "a"}
    with server(store, KEEP_ALIVE="0") as client:
        client.post("/api/embed", json=body).raise_for_status()
        assert running(client) == {}
    with server(store, KEEP_ALIVE="-1") as client:
        client.post("/api/embed", json=body).raise_for_status()
        end = datetime.fromisoformat(str(running(client)[f"{EMBED}:latest"]["expires_at"]))
        assert end.year > datetime.now().year + 200


def test_context_length(store: ModelStore) -> None:
    """What a chat model gets by default; a request may ask for another one; the model's own limit stands."""
    with server(store, CONTEXT_LENGTH="512") as client:
        client.post("/api/generate", json=SHORT).raise_for_status()
        small = running(client)[CHAT]
        assert small["context_length"] == 512
        asked = {**SHORT, "options": {"num_ctx": 10**6, "num_predict": 1}}
        client.post("/api/generate", json=asked).raise_for_status()
        large = running(client)[CHAT]
        assert large["context_length"] == 8192
        # 30 layers, 3 heads of keys and values, 64 numbers of 2 bytes each
        assert int(str(large["size"])) - int(str(small["size"])) == (8192 - 512) * 30 * 3 * 2 * 64 * 2


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def test_origins(store: ModelStore) -> None:
    """A page that was let in by name or pattern may send and read; others, and lookalikes, are refused."""
    with server(store, ORIGINS="https://notes.example,https://*.team.example") as client:
        for origin in ("https://notes.example", "https://a.team.example", "http://localhost:5173", "app://x"):
            reply = client.get("/api/version", headers={"origin": origin})
            assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, origin)
            assert reply.headers["vary"] == "Origin"
            preflight = client.request("OPTIONS", "/api/chat", headers={"origin": origin, **PREFLIGHT})
            assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, origin)
            assert "POST" in preflight.headers["access-control-allow-methods"].split(",")
            assert "Content-Type" in preflight.headers["access-control-allow-headers"].split(",")
        for origin in ("https://evil.example", "http://notes.example", "https://team.example", "null"):
            reply = client.post("/api/embed", json={"model": EMBED, "input": "a"}, headers={"origin": origin})
            assert (reply.status_code, reply.content) == (403, b"")
            assert "access-control-allow-origin" not in reply.headers
            assert client.request("OPTIONS", "/api/embed", headers={"origin": origin, **PREFLIGHT}).status_code == 403
    with server(store, ORIGINS="*") as client:
        reply = client.get("/api/version", headers={"origin": "https://evil.example"})
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")


@contextmanager
def serving(environment: Mapping[str, str]) -> Generator[subprocess.Popen[str]]:
    """`pipeline serve` in a process of its own."""
    command = [sys.executable, "-m", "pipeline", "serve", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    with process:
        yield process
        process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://127.0.0.1:{}/", "localhost:{}", ":{}"])
def test_host(form: str, tmp_path: Path) -> None:
    """The address to listen on, in every form that the real server takes; without a host it is the loopback."""
    port = free_port()
    with serving({"OLLAMA_HOST": form.format(port), "OLLAMA_MODELS": str(tmp_path)}) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"] == f"http://127.0.0.1:{port}"
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=60).text == "Ollama is running"


def test_models_folder_is_made(tmp_path: Path) -> None:
    """OLLAMA_MODELS need not be there yet: it is made with all its parents, and holds nothing."""
    folder = tmp_path / "new" / "models"
    with serving({"OLLAMA_HOST": f"127.0.0.1:{free_port()}", "OLLAMA_MODELS": str(folder)}) as process:
        assert process.stdout is not None
        hello = json.loads(process.stdout.readline())
        assert hello["models"] == str(folder)
        assert httpx.get(f"{hello['url']}/api/tags", timeout=60).json() == {"models": []}
        assert folder.is_dir()


def test_models_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way is said at the start, and not at the first pull."""
    (tmp_path / "file").touch()
    environment = {"OLLAMA_HOST": f"127.0.0.1:{free_port()}", "OLLAMA_MODELS": str(tmp_path / "file" / "models")}
    with serving(environment) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(output)["error"]["message"].startswith(f"cannot use the model store {tmp_path}/file/models: ")
    assert "OLLAMA_MODELS" in json.loads(output)["error"]["hint"]
    assert "Traceback" not in errors


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_models_folder_that_is_read_only(tmp_path: Path) -> None:
    """It is served as it is, and said to be so."""
    tmp_path.chmod(0o500)
    with serving({"OLLAMA_HOST": f"127.0.0.1:{free_port()}", "OLLAMA_MODELS": str(tmp_path)}) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert "read-only" in errors
