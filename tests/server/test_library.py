"""The management endpoints."""

import json
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from pipeline.server import ModelStore
from pipeline.version import VERSION
from tests.server.conftest import CHAT, EMBED


def test_root_and_version(client: httpx.Client) -> None:
    """The greeting by which tools know an Ollama, and a version they can parse; HEAD has no body."""
    assert client.get("/").text == "Ollama is running"
    assert client.get("/").headers["content-type"] == "text/plain; charset=utf-8"
    assert client.get("/api/version").json() == {"version": VERSION}
    for path in ("/", "/api/version", "/api/tags"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")


def test_tags_list_the_store(client: httpx.Client, store: ModelStore) -> None:
    """Name, digest, size and details of each model, as the store has them."""
    rows = {row["name"]: row for row in client.get("/api/tags").json()["models"]}
    row = rows["all-minilm:latest"]
    model = store.find(EMBED)
    assert model is not None
    assert (row["model"], row["digest"], row["size"]) == (model.name, model.digest, model.size)
    assert row["details"]["family"] == "bert"
    assert row["details"]["embedding_length"] == 384
    assert row["capabilities"] == ["embedding"]
    assert rows[CHAT]["capabilities"] == ["completion"]


def test_show_tells_what_the_file_says(client: httpx.Client) -> None:
    """Metadata with lists left out, capabilities, parameters in the real server's form, a Modelfile."""
    body = client.post("/api/show", json={"model": EMBED}).json()
    assert body["model_info"]["general.architecture"] == "bert"
    assert body["model_info"]["bert.embedding_length"] == 384
    assert body["model_info"]["general.parameter_count"] > 20_000_000
    assert body["model_info"]["tokenizer.ggml.tokens"] is None
    assert "general.name" not in body["model_info"]
    assert body["capabilities"] == ["embedding"]
    assert body["parameters"].split() == ["num_ctx", "256"]
    assert body["parameters"].index("256") == 31
    assert "PARAMETER num_ctx 256" in body["modelfile"]
    assert body["details"]["family"] == "bert"


def test_verbose_show_has_the_vocabulary(client: httpx.Client) -> None:
    """The lists are there when asked for."""
    body = client.post("/api/show", json={"name": EMBED, "verbose": True}).json()
    assert len(body["model_info"]["tokenizer.ggml.tokens"]) == 30522


def test_show_has_the_chat_template(client: httpx.Client) -> None:
    """A chat model shows the template in its file."""
    assert "<|im_start|>" in client.post("/api/show", json={"model": CHAT}).json()["template"]


def test_copy_and_delete(own_client: httpx.Client) -> None:
    """A copy is listed, works, and goes without taking the original with it."""
    reply = own_client.post("/api/copy", json={"source": EMBED, "destination": "mine"})
    assert (reply.status_code, reply.content) == (200, b"")
    assert own_client.post("/api/embed", json={"model": "mine", "input": "hi"}).status_code == 200
    assert own_client.request("DELETE", "/api/delete", json={"model": "mine"}).status_code == 200
    names = [row["name"] for row in own_client.get("/api/tags").json()["models"]]
    assert names.count("mine:latest") == 0
    assert "all-minilm:latest" in names


def test_keep_alive_decides_how_long_a_model_stays(own_client: httpx.Client) -> None:
    """It shows in /api/ps while loaded; zero unloads it at once, after the work or without any."""

    def loaded() -> list[str]:
        return [row["name"] for row in own_client.get("/api/ps").json()["models"]]

    own_client.post("/api/embed", json={"model": EMBED, "input": "hi"})
    row = own_client.get("/api/ps").json()["models"][0]
    assert (row["name"], row["size_vram"], row["context_length"]) == ("all-minilm:latest", 0, 256)
    assert row["size"] > 20_000_000
    assert row["expires_at"]
    own_client.post("/api/embed", json={"model": EMBED, "input": "hi", "keep_alive": 0})
    assert loaded() == []
    own_client.post("/api/chat", json={"model": CHAT, "keep_alive": -1})
    assert own_client.get("/api/ps").json()["models"][0]["expires_at"] > "2200"
    reply = own_client.post("/api/generate", json={"model": CHAT, "keep_alive": 0}).json()
    assert reply["done_reason"] == "unload"
    assert loaded() == []


def test_model_that_stays_for_longer_than_dates_go(own_client: httpx.Client) -> None:
    """A keep-alive of thirty thousand years is cut to what the real server can count, and /api/ps goes on answering."""
    assert own_client.post("/api/embed", json={"model": EMBED, "keep_alive": 10**12}).status_code == 200
    reply = own_client.get("/api/ps")
    assert reply.status_code == 200
    years = int(reply.json()["models"][0]["expires_at"][:4]) - datetime.now().year
    assert years in (292, 293)


def test_model_is_loaded_again_with_more_context(own_client: httpx.Client) -> None:
    """A larger num_ctx loads the model again, at most with what it was trained for; a smaller one does not."""

    def context(number: int) -> int:
        own_client.post("/api/chat", json={"model": CHAT, "options": {"num_ctx": number}})
        return own_client.get("/api/ps").json()["models"][0]["context_length"]

    assert [context(number) for number in (256, 512, 128, 100_000)] == [256, 512, 512, 8192]


def test_pull_of_a_model_that_is_here(client: httpx.Client) -> None:
    """The stream begins and ends as the real one does; not streamed it is the last event."""
    with client.stream("POST", "/api/pull", json={"model": EMBED}) as response:
        found = response.read().splitlines()
    assert (found[0], found[-1]) == (b'{"status":"pulling manifest"}', b'{"status":"success"}')
    assert client.post("/api/pull", json={"model": EMBED, "stream": False}).json() == {"status": "success"}


def test_pull_of_an_unknown_model(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked of Ollama's registry; where that cannot be reached, the error says so and what there is without it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with client.stream("POST", "/api/pull", json={"model": "nope"}) as response:
        assert response.status_code == 200
        found = response.read()
    message = 'pull model manifest: Get "https://registry.ollama.ai/v2/library/nope/manifests/latest": dial tcp'
    assert json.loads(found.splitlines()[-1])["error"].startswith(message)
    reply = client.post("/api/pull", json={"model": "nope", "stream": False})
    assert reply.status_code == 500
    error = reply.json()["error"]
    assert error.startswith(message)
    assert error.endswith("smollm2:135m come from the package index)")


def test_cut_model_file_is_an_error_and_nothing_else(own_client: httpx.Client, own_store: ModelStore) -> None:
    """Half a file gives a clear 500; the server goes on with the other models."""
    model = own_store.find(CHAT)
    assert model is not None
    cut_short(model.model_path)
    reply = own_client.post("/api/chat", json={"model": CHAT, "messages": [{"role": "user", "content": "hi"}]})
    assert reply.status_code == 500
    assert reply.json()["error"]
    assert own_client.post("/api/embed", json={"model": EMBED, "input": "hi"}).status_code == 200


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def test_show_names_the_tensors(client: httpx.Client) -> None:
    """Each with its type and shape, and numbers as short as they were meant."""
    shown = client.post("/api/show", json={"model": CHAT}).json()
    assert shown["tensors"][:2] == [
        {"name": "token_embd.weight", "type": "Q8_0", "shape": [576, 49152]},
        {"name": "blk.0.attn_norm.weight", "type": "F32", "shape": [576]},
    ]
    assert shown["model_info"]["llama.attention.layer_norm_rms_epsilon"] == 1e-05
    assert list(shown["model_info"]) == sorted(shown["model_info"])
