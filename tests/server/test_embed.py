"""/api/embed and /api/embeddings with a real model."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from pipeline.server import App, InProcessTransport, ModelStore
from tests.server.conftest import CHAT, EMBED

LONG = "word " * 400
TEXTS = ["The cat sat on the mat.", "Rust has no garbage collector.", "", "日本語のテキスト", LONG, "é\u2028\x00end"]


def embed(client: httpx.Client, **fields: object) -> httpx.Response:
    return client.post("/api/embed", json={"model": EMBED, **fields})


def vectors(client: httpx.Client, **fields: object) -> np.ndarray:
    return np.array(embed(client, **fields).json()["embeddings"])


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether rows are the same up to the rounding of eight-bit weights, which depends on what shares a batch.

    Two texts of the tests that differ in one word have a cosine of 0.9 or less.
    """
    return bool((np.sum(np.atleast_2d(found) * np.atleast_2d(expected), axis=1) > 0.999).all())


def test_known_vector(client: httpx.Client) -> None:
    """The text "hello world" has the vector that this model is known to give, as far as its weights allow."""
    shown = client.post("/api/show", json={"model": EMBED}).json()
    near = 6e-3 if shown["details"]["quantization_level"] == "Q8_0" else 1e-3
    vector = vectors(client, input="hello world")[0]
    assert vector.shape == (384,)
    assert vector[:4] == pytest.approx([-0.0345, 0.0309, 0.0067, 0.0261], abs=near)


def test_reply_has_the_fields_of_the_real_server(client: httpx.Client) -> None:
    """The counts are true: two words and two special tokens are four."""
    reply = embed(client, input="hello world")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    body = reply.json()
    assert list(body) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert body["model"] == EMBED
    assert body["prompt_eval_count"] == 4
    assert body["total_duration"] >= body["load_duration"] > 0


def test_batch_equals_singles_in_order(client: httpx.Client) -> None:
    """A text has the same vector alone and in a batch, and the order is kept."""
    together = vectors(client, input=TEXTS)
    alone = np.array([vectors(client, input=[text])[0] for text in TEXTS])
    assert same(together, alone)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-6)


def test_more_texts_than_one_engine_call_takes(client: httpx.Client) -> None:
    """A large batch is split inside and comes back whole and in order."""
    texts = [f"number {number}" for number in range(150)]
    found = vectors(client, input=texts)
    assert len(found) == 150
    assert same(found[149], vectors(client, input="number 149"))


def test_long_text_is_cut_by_tokens(client: httpx.Client) -> None:
    """By default what does not fit the model's 256 tokens is left out, and no more than that."""
    reply = embed(client, input=LONG).json()
    assert reply["prompt_eval_count"] == 256
    fitting = vectors(client, input=" ".join(["word"] * 254))[0]
    assert same(np.array(reply["embeddings"][0]), fitting)


def test_long_text_is_refused_when_asked(client: httpx.Client) -> None:
    """Without truncation a text that does not fit is an error, and one that just fits is none."""
    refused = embed(client, input=["short", LONG], truncate=False)
    assert (refused.status_code, refused.json()) == (400, {"error": "the input length exceeds the context length"})
    assert embed(client, input=" ".join(["word"] * 254), truncate=False).json()["prompt_eval_count"] == 256
    assert embed(client, input=" ".join(["word"] * 255), truncate=False).status_code == 400


def test_smaller_context_cuts_earlier(client: httpx.Client) -> None:
    """`num_ctx` below the model's own limits the text without loading the model again."""
    assert embed(client, input=LONG, options={"num_ctx": 32}).json()["prompt_eval_count"] == 32


def test_dimensions_are_cut_and_normalised_again(client: httpx.Client) -> None:
    """The first numbers of the vector, brought back to unit length."""
    whole = vectors(client, input="hello")[0]
    cut = vectors(client, input="hello", dimensions=64)[0]
    assert same(cut, whole[:64] / np.linalg.norm(whole[:64]))
    assert np.linalg.norm(cut) == pytest.approx(1.0, abs=1e-6)
    assert vectors(client, input="hello", dimensions=1000).shape == (1, 384)


@pytest.mark.parametrize("value", ["", [], None], ids=["empty text", "empty list", "null"])
def test_nothing_to_embed(client: httpx.Client, value: object) -> None:
    """No input is no error: the model is loaded and there are no vectors."""
    reply = embed(client, input=value)
    assert (reply.status_code, reply.json()) == (200, {"model": EMBED, "embeddings": []})


@pytest.mark.parametrize("value", [7, {"a": 1}, ["a", 7], [["a"]]], ids=["number", "object", "mixed", "nested"])
def test_wrong_type_of_input(client: httpx.Client, value: object) -> None:
    """Only a text or a list of texts can be embedded."""
    reply = embed(client, input=value)
    assert (reply.status_code, reply.json()) == (400, {"error": "invalid input type"})


def test_chat_model_makes_no_vectors(client: httpx.Client) -> None:
    """A model for text says that it does not embed, in the words of the real server."""
    reply = client.post("/api/embed", json={"model": CHAT, "input": "hi"})
    error = "This server does not support embeddings. Start it with `--embeddings`"
    assert (reply.status_code, reply.json()) == (501, {"error": error})


def test_older_endpoint_gives_one_vector(client: httpx.Client) -> None:
    """/api/embeddings takes a prompt and gives the same vector."""
    reply = client.post("/api/embeddings", json={"model": EMBED, "prompt": "hello world"})
    assert list(reply.json()) == ["embedding"]
    assert same(np.array(reply.json()["embedding"]), vectors(client, input="hello world"))
    assert client.post("/api/embeddings", json={"model": EMBED}).json() == {"embedding": []}


def test_twenty_requests_at_once(client: httpx.Client) -> None:
    """Concurrent requests each get their own vectors."""
    expected = vectors(client, input=[f"text {number}" for number in range(20)])
    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(lambda number: vectors(client, input=f"text {number}")[0], range(20)))
    assert same(np.array(found), expected)


def test_closing_the_app_breaks_off_what_runs(store: ModelStore) -> None:
    """Requests under way are answered at once, whatever they would have taken, and their engine goes with them."""
    with (
        App(store) as app,
        httpx.Client(transport=InProcessTransport(app), base_url="http://embedded", timeout=600) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        replies = [threads.submit(embed, client, input=[LONG] * 4000) for _ in range(2)]
        while not client.get("/api/ps").json()["models"]:
            time.sleep(0.01)
        app.close()
        for reply in replies:
            answer = reply.result()
            assert (answer.status_code, answer.json()) == (503, {"error": "the server is shutting down"})
        while client.get("/api/ps").json()["models"]:
            time.sleep(0.01)
        assert embed(client, input="hello").status_code == 503
