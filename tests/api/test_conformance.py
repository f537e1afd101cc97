"""One specification of every endpoint, for both clients, on real servers with real models.

It runs on the embedded server over a socket and, with PIPELINE_TEST_OLLAMA set to its address, on that Ollama, which
needs `all-minilm` and `smollm2:135m`.
"""

import asyncio
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.api import AsyncClient, Client, RetryPolicy
from pipeline.errors import BadRequest, InputTooLong, ModelNotFound, NotSupported, StatusError
from pipeline.server import App, ModelStore, ServerSettings, run_in_thread

EMBED, CHAT = "all-minilm", "smollm2:135m"
MESSAGES = [{"role": "user", "content": "Say hello."}]
SHORT = {"num_predict": 8, "temperature": 0, "seed": 1}
OLLAMA = os.environ.get("PIPELINE_TEST_OLLAMA", "")

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def embedded(models_folder: Path) -> Iterator[str]:
    with App(ModelStore(models_folder), ServerSettings()) as app, run_in_thread(app) as url:
        yield url


@pytest.fixture(params=["embedded", "ollama"] if OLLAMA else ["embedded"])
def server(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("embedded") if request.param == "embedded" else OLLAMA


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, server: str) -> Ask:
    """`ask(method, *arguments, **fields)`; a method of the other dialect is `v1.NAME`; streams become lists."""

    def ask_sync(method: str, *arguments: Any, **fields: Any) -> Any:
        with Client(server, retry=RetryPolicy.none(), timeout=120) as client:
            place: Any = client.v1 if method.startswith("v1.") else client
            result = getattr(place, method.removeprefix("v1."))(*arguments, **fields)
            return list(result) if method.endswith("_stream") else result

    async def ask_async(method: str, *arguments: Any, **fields: Any) -> Any:
        async with AsyncClient(server, retry=RetryPolicy.none(), timeout=120) as client:
            place: Any = client.v1 if method.startswith("v1.") else client
            result = getattr(place, method.removeprefix("v1."))(*arguments, **fields)
            return [item async for item in result] if method.endswith("_stream") else await result

    if request.param == "sync":
        return ask_sync
    return lambda method, *arguments, **fields: asyncio.run(ask_async(method, *arguments, **fields))


def test_version(ask: Ask) -> None:
    """A version of dotted numbers."""
    assert ask("version").split(".")[0].isdigit()


def test_tags(ask: Ask) -> None:
    """Both models, with digest, size, details and what they can do."""
    models = {model.name: model for model in ask("tags")}
    embed, chat = models[f"{EMBED}:latest"], models[CHAT]
    assert (len(embed.digest), embed.details.family, embed.capabilities) == (64, "bert", ("embedding",))
    assert (chat.details.family, chat.details.format, chat.capabilities) == ("llama", "gguf", ("completion",))
    assert embed.size > 1e6
    assert not embed.extra
    assert not embed.details.extra


def test_show(ask: Ask) -> None:
    """Dimension, context, parameters, template; the vocabulary with `verbose`."""
    shown = ask("show", EMBED)
    assert shown.model_info["bert.embedding_length"] == 384
    assert shown.capabilities == ("embedding",)
    assert "num_ctx" in shown.parameters
    assert not shown.model_info.get("tokenizer.ggml.tokens")
    assert not shown.extra
    assert len(ask("show", EMBED, verbose=True).model_info["tokenizer.ggml.tokens"]) == 30522
    assert "FROM" in ask("show", CHAT).modelfile


def test_embed(ask: Ask) -> None:
    """Unit rows in order, the same whether asked for alone or together; cut ones are of unit length too."""
    texts = ["keys are rotated", "bread is baked", "a third text"]
    reply = ask("embed", EMBED, texts)
    assert reply.matrix.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(reply.matrix, axis=1), 1, atol=1e-3)
    alone = ask("embed", EMBED, texts[1:2])
    assert float(reply.matrix[1] @ alone.matrix[0]) > 0.999
    assert reply.prompt_eval_count > alone.prompt_eval_count > 0
    cut = ask("embed", EMBED, texts, dimensions=64)
    assert cut.matrix.shape == (3, 64)
    np.testing.assert_allclose(np.linalg.norm(cut.matrix, axis=1), 1, atol=1e-3)


def test_embed_of_too_long_a_text(ask: Ask) -> None:
    """An error, unless it is to be cut, and then to the context exactly."""
    with pytest.raises(InputTooLong):
        ask("embed", EMBED, ["word " * 2000])
    assert ask("embed", EMBED, ["word " * 2000], truncate=True).prompt_eval_count == 256


def test_older_embeddings(ask: Ask) -> None:
    """The deprecated endpoint gives the same direction."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = np.array(ask("embeddings", EMBED, "keys are rotated"))
    new = ask("embed", EMBED, ["keys are rotated"]).matrix[0]
    assert float(old @ new) / float(np.linalg.norm(old)) > 0.999


def test_generate(ask: Ask) -> None:
    """Text, counts and durations; the stream's pieces are the text."""
    reply = ask("generate", CHAT, "Say hello.", options=SHORT)
    assert (reply.done, reply.done_reason, reply.eval_count) == (True, "length", 8)
    assert reply.response
    assert min(reply.total_duration, reply.eval_duration, reply.prompt_eval_duration) > 0
    assert not reply.extra
    pieces = ask("generate_stream", CHAT, "Say hello.", options=SHORT)
    assert "".join(piece.response for piece in pieces) == reply.response
    assert [piece.done for piece in pieces[-2:]] == [False, True]


def test_generate_with_fields(ask: Ask) -> None:
    """System prompt, raw prompt, JSON, schema, log probabilities, keep-alive: each does something or is at least taken."""
    assert ask("generate", CHAT, "1, 2, 3,", raw=True, options=SHORT).prompt_eval_count < 20
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    reply = ask(
        "generate", CHAT, "Give n.", format=schema, system="Answer in JSON.", options={**SHORT, "num_predict": 40}
    )
    assert reply.response.lstrip().startswith("{")
    tokens = ask("generate", CHAT, "Hi", logprobs=True, top_logprobs=2, options=SHORT, keep_alive="1m").logprobs
    assert len(tokens) == 8
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)


def test_chat(ask: Ask) -> None:
    """An answer, whole and streamed, and with a history and a system prompt."""
    reply = ask("chat", CHAT, MESSAGES, options=SHORT)
    assert (reply.message.role, reply.done, reply.eval_count) == ("assistant", True, 8)
    assert not reply.extra
    assert not reply.message.extra
    pieces = ask("chat_stream", CHAT, MESSAGES, options=SHORT)
    assert "".join(piece.message.content for piece in pieces) == reply.message.content
    assert pieces[-1].prompt_eval_count == reply.prompt_eval_count
    longer = ask(
        "chat", CHAT, [{"role": "system", "content": "Be kind."}, *MESSAGES, reply.message, *MESSAGES], options=SHORT
    )
    assert longer.prompt_eval_count > reply.prompt_eval_count


def test_what_a_model_cannot_do(ask: Ask) -> None:
    """Tools, thinking, chatting with an embedding model, embedding with a chat model: each is said."""
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    for attempt in (
        lambda: ask("chat", CHAT, MESSAGES, tools=[tool]),
        lambda: ask("chat", CHAT, MESSAGES, think=True),
        lambda: ask("chat", EMBED, MESSAGES),
        lambda: ask("generate", EMBED, "x"),
        lambda: ask("embed", CHAT, ["x"]),
    ):
        with pytest.raises(NotSupported, match="does not support"):
            attempt()


def test_context_that_is_too_small(ask: Ask) -> None:
    """With `truncate` false a prompt over the context is an error and not cut."""
    with pytest.raises(InputTooLong):
        ask(
            "chat",
            CHAT,
            [{"role": "user", "content": "word " * 600}],
            options={**SHORT, "num_ctx": 256},
            truncate=False,
        )


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("show", ("nowhere",)),
        ("embed", ("nowhere", ["x"])),
        ("generate", ("nowhere", "x")),
        ("chat", ("nowhere", MESSAGES)),
        ("copy", ("nowhere", "x")),
        ("delete", ("nowhere",)),
    ],
)
def test_unknown_model(ask: Ask, method: str, arguments: tuple[Any, ...]) -> None:
    """Every endpoint says so in its own words, and the error is the same."""
    with pytest.raises(ModelNotFound, match="not found") as caught:
        ask(method, *arguments)
    assert caught.value.status == 404


def test_wrong_types(ask: Ask) -> None:
    """What cannot be read is a bad request with the server's words."""
    with pytest.raises(BadRequest, match="unmarshal"):
        ask("generate", CHAT, "x", extra_fields={"raw": "yes"})


def test_ps(ask: Ask) -> None:
    """A model that was just used is loaded, with size, context and end."""
    ask("generate", CHAT, "x", options={"num_predict": 1}, keep_alive="5m")
    running = {model.name: model for model in ask("ps")}
    assert running[CHAT].size > 1e6
    assert running[CHAT].context_length > 0
    assert running[CHAT].expires_at
    assert ask("generate", CHAT, keep_alive=0).done_reason == "unload"


def test_copy_and_delete(ask: Ask) -> None:
    """A second name is there, and gone again; the first one stays."""
    ask("copy", EMBED, "conformance-copy")
    try:
        names = {model.name for model in ask("tags")}
        assert "conformance-copy:latest" in names
    finally:
        ask("delete", "conformance-copy")
    names = {model.name for model in ask("tags")}
    assert "conformance-copy:latest" not in names
    assert f"{EMBED}:latest" in names


def test_pull_that_fails(ask: Ask) -> None:
    """An error in the stream is raised."""
    with pytest.raises(StatusError):
        ask("pull", "127.0.0.1:9/library/nowhere", insecure=True)


def test_create_from_a_model(ask: Ask) -> None:
    """A new system prompt and parameters over another model's weights."""
    events: list[str] = []
    last = ask(
        "create",
        "conformance-made",
        CHAT,
        system="Be terse.",
        parameters={"num_ctx": 512, "stop": ["x"]},
        on_progress=lambda progress: events.append(progress.status),
    )
    assert (last.status, events[-1]) == ("success", "success")
    shown = ask("show", "conformance-made")
    assert shown.system == "Be terse."
    assert "num_ctx" in shown.parameters
    ask("delete", "conformance-made")


def test_blobs(ask: Ask, tmp_path: Path) -> None:
    """A file is not there, then it is; a second upload of it is left out."""
    path = tmp_path / "blob"
    path.write_bytes(os.urandom(3_000_000))
    digest = ask("upload_blob", path)
    assert ask("blob_exists", digest)
    assert ask("upload_blob", path, on_bytes=lambda *_: pytest.fail("sent again")) == digest
    assert not ask("blob_exists", "sha256:" + "0" * 64)


def test_push_that_fails(ask: Ask) -> None:
    """An error in the stream is raised."""
    with pytest.raises(StatusError):
        ask("push", "127.0.0.1:9/library/nowhere", insecure=True)


def test_v1_models(ask: Ask) -> None:
    """The list, and one of it."""
    assert f"{EMBED}:latest" in {model.id for model in ask("v1.models")}
    card = ask("v1.model", f"{EMBED}:latest")
    assert (card.object, card.owned_by) == ("model", "library")
    with pytest.raises(ModelNotFound):
        ask("v1.model", "nowhere")


def test_v1_embeddings(ask: Ask) -> None:
    """Both encodings are the vectors of the native endpoint."""
    native = ask("embed", EMBED, ["a", "b"]).matrix
    for encoding in ("base64", "float"):
        reply = ask("v1.embeddings", EMBED, ["a", "b"], encoding_format=encoding)
        np.testing.assert_allclose(reply.matrix, native, atol=2e-2)
        assert reply.usage.prompt_tokens > 0
    with pytest.raises(BadRequest):
        ask("v1.embeddings", EMBED, ["a"], encoding_format="hex")


def test_v1_chat_completions(ask: Ask) -> None:
    """Whole and streamed, with usage."""
    fields = {"max_tokens": 8, "temperature": 0, "seed": 1}
    reply = ask("v1.chat_completions", CHAT, MESSAGES, **fields)
    assert (reply.choices[0].finish_reason, reply.usage.completion_tokens) == ("length", 8)
    assert not reply.extra
    pieces = ask("v1.chat_completions_stream", CHAT, MESSAGES, **fields)
    assert "".join(piece.text for piece in pieces) == reply.text
    assert pieces[-1].usage.completion_tokens == 8
    with pytest.raises(ModelNotFound):
        ask("v1.chat_completions", "nowhere", MESSAGES)


def test_v1_completions(ask: Ask) -> None:
    """Whole and streamed, with usage."""
    fields = {"max_tokens": 8, "temperature": 0.0, "seed": 1}
    reply = ask("v1.completions", CHAT, "1, 2, 3,", **fields)
    pieces = ask("v1.completions_stream", CHAT, "1, 2, 3,", **fields)
    assert "".join(piece.text for piece in pieces) == reply.text
    assert pieces[-1].usage.completion_tokens == reply.usage.completion_tokens == 8


def test_v1_responses(ask: Ask) -> None:
    """Whole and streamed; the last event holds the whole response."""
    fields = {"max_output_tokens": 16, "temperature": 0.0}
    reply = ask("v1.responses", CHAT, "Say hello.", **fields)
    assert reply.text
    events = ask("v1.responses_stream", CHAT, "Say hello.", **fields)
    assert events[0].type == "response.created"
    assert events[-1].response.text == "".join(
        event.delta for event in events if event.type == "response.output_text.delta"
    )
