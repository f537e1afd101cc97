"""The official `ollama` client, which knows nothing of us, against the socket."""

import json
from collections.abc import Iterator

import ollama
import pytest
from ollama import ResponseError

from pipeline.server import App, run_in_thread
from tests.server.conftest import CHAT, EMBED


@pytest.fixture
def client(url: str) -> Iterator[ollama.Client]:
    client = ollama.Client(host=url)
    yield client
    client._client.close()


def test_list_show_ps(client: ollama.Client) -> None:
    """The management calls parse into the client's own records."""
    assert {"all-minilm:latest", CHAT} <= {model.model for model in client.list().models}
    shown = client.show(EMBED)
    assert shown.capabilities == ["embedding"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["bert.context_length"] == 512
    client.embed(EMBED, "hi")
    assert "all-minilm:latest" in {model.model for model in client.ps().models}


def test_embed_and_embeddings(client: ollama.Client) -> None:
    """Vectors by the new and by the old endpoint."""
    reply = client.embed(EMBED, ["a", "b"], dimensions=16)
    assert [len(row) for row in reply.embeddings] == [16, 16]
    assert reply.prompt_eval_count == 6
    assert len(client.embeddings(EMBED, "a").embedding) == 384


def test_streamed_chat(client: ollama.Client) -> None:
    """A stream of parts, the last one done."""
    parts = list(client.chat(CHAT, [{"role": "user", "content": "hi"}], stream=True, options={"num_predict": 4}))
    assert parts[-1].done
    assert parts[-1].eval_count == 4
    assert len(parts) > 1


def test_generate_with_schema(client: ollama.Client) -> None:
    """Structured output parses."""
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    reply = client.generate(CHAT, "Is the sky blue?", format=schema, options={"temperature": 0, "num_predict": 40})
    assert isinstance(json.loads(reply.response)["yes"], bool)


def test_pull(client: ollama.Client) -> None:
    """Progress ends with success."""
    assert [part.status for part in client.pull(EMBED, stream=True)][-1] == "success"


def test_unknown_model(client: ollama.Client) -> None:
    """The client raises its own error with our text and status."""
    with pytest.raises(ResponseError, match="model 'nope' not found") as caught:
        client.chat("nope", [{"role": "user", "content": "hi"}])
    assert caught.value.status_code == 404


def test_copy_and_delete(own_app: App) -> None:
    """Both calls understand our empty replies."""
    with run_in_thread(own_app) as url:
        client = ollama.Client(host=url)
        assert client.copy(EMBED, "mine").status == "success"
        assert client.delete("mine").status == "success"
        with pytest.raises(ResponseError, match="model 'mine' not found"):
            client.delete("mine")
        client._client.close()
