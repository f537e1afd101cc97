"""The OpenAI dialect: a collection is a model."""

import json

import httpx
import pytest

from tests.web.test_web_api import streamed

BODY = {"model": "notes", "messages": [{"role": "user", "content": "How often are signing keys rotated?"}]}


def test_models(client: httpx.Client) -> None:
    """Every collection, with the moment it was made."""
    [model] = [each for each in client.get("/v1/models").json()["data"] if each["id"] == "notes"]
    assert model["object"] == "model"
    assert model["created"] > 1_700_000_000


def test_completion(client: httpx.Client) -> None:
    """The text ends with the places of what it cites; the whole answer is there as well."""
    whole = client.post("/v1/chat/completions", json={**BODY, "temperature": 0}).raise_for_status().json()
    text = whole["choices"][0]["message"]["content"]
    assert text.startswith(whole["pipeline"]["answer"])
    for citation in whole["pipeline"]["citations"]:
        assert f"[{citation['number']}] {citation['path']}:{citation['start_line']}" in text
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]


def test_messages_before_are_understood(client: httpx.Client) -> None:
    """A question that points back is searched for together with what it points to."""
    before = [*BODY["messages"], {"role": "assistant", "content": "Every ninety days.\n\nSources:\n[1] keys.md:5"}]
    messages = [*before, {"role": "user", "content": "And who does it?"}]
    whole = client.post("/v1/chat/completions", json={**BODY, "messages": messages}).raise_for_status().json()
    assert whole["pipeline"]["question"] == "And who does it?"
    assert whole["pipeline"]["hits"][0]["path"].endswith("keys.md")


def test_stream(client: httpx.Client) -> None:
    """Chunks with the role first, the reason last, then the usage that was asked for."""
    body = {**BODY, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, (_, done) = streamed(client, "POST", "/v1/chat/completions", json=body)
    assert done == "[DONE]"
    values = [value for _, value in chunks]
    assert values[0]["choices"][0]["delta"]["role"] == "assistant"
    assert values[-2]["choices"][0]["finish_reason"] == "stop"
    assert values[-1]["usage"]["completion_tokens"] > 0
    assert len({value["id"] for value in values}) == 1


def test_unknown_model(client: httpx.Client) -> None:
    """404, before a stream begins, with the names that there are."""
    reply = client.post("/v1/chat/completions", json={**BODY, "model": "none", "stream": True})
    assert reply.status_code == 404
    assert "notes" in reply.json()["error"]["hint"]


def test_last_message_must_ask(client: httpx.Client) -> None:
    """There has to be a question of the user's."""
    messages = [*BODY["messages"], {"role": "assistant", "content": "Every ninety days."}]
    assert client.post("/v1/chat/completions", json={**BODY, "messages": messages}).status_code == 400


def test_official_client(client: httpx.Client) -> None:
    """The openai package lists the collections and chats with one, streamed and not."""
    openai = pytest.importorskip("openai", reason="pip install openai")
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as official:
        assert "notes" in [model.id for model in official.models.list()]
        parts = [{"type": "text", "text": BODY["messages"][0]["content"]}]
        whole = official.chat.completions.create(model="notes", messages=[{"role": "user", "content": parts}])
        assert whole.choices[0].message.content
        pieces = official.chat.completions.create(**BODY, stream=True)
        assert "".join(each.choices[0].delta.content or "" for each in pieces)
        with pytest.raises(openai.NotFoundError) as caught:
            official.chat.completions.create(**{**BODY, "model": "none"})
        assert json.loads(caught.value.response.text)["error"]["type"] == "CollectionNotFound"
