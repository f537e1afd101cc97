"""The OpenAI dialect: what is sent, what is made of replies, streams of server-sent events."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from pipeline.api import AsyncClient, Client
from pipeline.api.v1 import V1, AsyncV1
from pipeline.errors import BadReply, BadRequest, ModelNotFound, StreamInterrupted, UsageError
from tests.api.conftest import QUICK
from tests.api.scripted_server import Answer, Script, as_json

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(params=["sync", "async"])
def ask_v1(request: pytest.FixtureRequest, script: Script) -> Any:
    """`ask_v1(method, *arguments, **fields)` on the dialect of a new client; streams become lists."""
    import asyncio

    def ask(method: str, *arguments: Any, **fields: Any) -> Any:
        if request.param == "sync":
            with Client(script.url, retry=QUICK, timeout=5) as client:
                result = getattr(client.v1, method)(*arguments, **fields)
                return list(result) if method.endswith("_stream") else result

        async def work() -> Any:
            async with AsyncClient(script.url, retry=QUICK, timeout=5) as client:
                result = getattr(client.v1, method)(*arguments, **fields)
                return [item async for item in result] if method.endswith("_stream") else await result

        return asyncio.run(work())

    return ask


def events(*values: Any, done: bool = True, end: bytes = b"\n\n", names: bool = False) -> bytes:
    parts = [
        (f"event: {value['type']}\n".encode() if names else b"")
        + b"data: "
        + json.dumps(value, ensure_ascii=False).encode()
        + end
        for value in values
    ]
    return b"".join(parts) + (b"data: [DONE]" + end if done else b"")


def chunk(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": text}, **fields}],
    }


USAGE = {"id": "c", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}}


def test_chat_completion(script: Script, ask_v1: Any) -> None:
    """Fields arrive as given, the reply is typed, what nobody knows is kept."""
    message = {
        "role": "assistant",
        "content": "x",
        "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
    }
    script.answers = [
        as_json(
            {
                "id": "c",
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": USAGE["usage"],
                "newer": 1,
            }
        )
    ]
    reply = ask_v1("chat_completions", "m", MESSAGES, temperature=0, max_tokens=5, seed=None)
    assert script.asked[0].path == "/v1/chat/completions"
    assert script.asked[0].body == {"model": "m", "messages": MESSAGES, "temperature": 0, "max_tokens": 5}
    assert (reply.text, reply.choices[0].finish_reason, reply.usage.total_tokens) == ("x", "stop", 5)
    assert reply.choices[0].message.tool_calls[0].function.name == "f"
    assert reply.extra == {"newer": 1}


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"], ids=["lf", "crlf"])
def test_streamed_chat_completion(script: Script, ask_v1: Any, size: int, end: bytes) -> None:
    """However the bytes are cut, each event is a piece; the usage comes with the last one."""
    text = ["Gr\u00fc\u00dfe\u0085", "\u2028", "\U0001f40c"]
    body = b": a comment" + end + events(*map(chunk, text), USAGE, end=end)
    script.answers = [Answer(pieces=tuple(body[at : at + size] for at in range(0, len(body), size)))]
    pieces = ask_v1("chat_completions_stream", "m", MESSAGES)
    assert "".join(piece.text for piece in pieces) == "".join(text)
    assert pieces[-1].usage.completion_tokens == 3
    assert script.asked[0].body["stream_options"] == {"include_usage": True}


def test_completions(script: Script, ask_v1: Any) -> None:
    """Whole and streamed, both have a text."""
    choice = {"index": 0, "text": "x", "finish_reason": "length"}
    script.answers = [as_json({"choices": [choice]}), Answer(pieces=(events({"choices": [choice]}, USAGE),))]
    assert ask_v1("completions", "m", "p", suffix="s").text == "x"
    assert script.asked[0].body == {"model": "m", "prompt": "p", "suffix": "s"}
    assert [piece.text for piece in ask_v1("completions_stream", "m", "p")] == ["x", ""]


def test_models(script: Script, ask_v1: Any) -> None:
    """The list and one of it; a name with a tag and a namespace is part of the path."""
    card = {"id": "me/m:latest", "object": "model", "created": 7, "owned_by": "me"}
    script.answers = [as_json({"object": "list", "data": [card]}), as_json(card)]
    assert [model.id for model in ask_v1("models")] == ["me/m:latest"]
    assert ask_v1("model", "me/m:latest").created == 7
    assert script.asked[1].path == "/v1/models/me/m:latest"


def encoded(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_embeddings(script: Script, ask_v1: Any, encoding: str) -> None:
    """Both encodings give the same matrix, in the order of the index, whichever the server chose to send."""
    rows = [[0.5, -1.0], [0.25, 3.0]]
    data = [
        {"index": index, "embedding": encoded(*rows[index]) if encoding == "base64" else rows[index]}
        for index in (1, 0)
    ]
    script.answers = [as_json({"model": "m", "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}})]
    reply = ask_v1("embeddings", "m", ["a", "b"], encoding_format=encoding, dimensions=2)
    assert reply.matrix.dtype == np.float32
    assert reply.matrix.tolist() == rows
    assert reply.usage.prompt_tokens == 4
    assert script.asked[0].body == {"model": "m", "input": ["a", "b"], "encoding_format": encoding, "dimensions": 2}


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": [1]}],
        [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}],
        [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}],
        [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": "!"}],
        [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": None}],
        [{"index": 0, "embedding": [1]}, 3],
        3,
    ],
)
def test_bad_embeddings_are_refused(script: Script, ask_v1: Any, data: Any) -> None:
    """Too few, twice the same, ragged or unreadable: never a matrix."""
    script.answers = [as_json({"data": data})]
    with pytest.raises(BadReply):
        ask_v1("embeddings", "m", ["a", "b"])


def test_responses(script: Script, ask_v1: Any) -> None:
    """A response has its messages' text; its stream ends with the event that says so, without a mark of its own."""
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}
    response = {"id": "r", "status": "completed", "output": [{"type": "reasoning"}, item]}
    script.answers = [
        as_json(response),
        Answer(
            pieces=(
                events(
                    {"type": "response.created", "response": {"id": "r", "status": "in_progress"}},
                    {"type": "response.output_text.delta", "delta": "x"},
                    {"type": "response.completed", "response": response},
                    done=False,
                    names=True,
                ),
            )
        ),
    ]
    assert ask_v1("responses", "m", "hi", instructions="be terse").text == "x"
    assert script.asked[0].body == {"model": "m", "input": "hi", "instructions": "be terse"}
    streamed = ask_v1("responses_stream", "m", [{"role": "user", "content": "hi"}])
    assert "".join(event.delta for event in streamed) == "x"
    assert streamed[-1].response.text == "x"


def test_errors_are_those_of_the_native_dialect(script: Script, ask_v1: Any) -> None:
    """The dialect's error object gives the same classes and the server's words."""
    error = {"message": "model 'x' not found", "type": "not_found_error", "param": None, "code": None}
    script.answers = [as_json({"error": error}, status=404)]
    with pytest.raises(ModelNotFound) as caught:
        ask_v1("chat_completions", "x", MESSAGES)
    assert caught.value.server_text == "model 'x' not found"
    script.answers = [as_json({"error": {**error, "message": "invalid input"}}, status=400)]
    with pytest.raises(BadRequest, match="invalid input"):
        ask_v1("embeddings", "x", ["a"])


def test_stream_without_its_end_is_an_error(script: Script, ask_v1: Any) -> None:
    """Events that stop before the end carry what had come."""
    script.answers = [Answer(pieces=(events(chunk("ab"), done=False),))]
    with pytest.raises(StreamInterrupted) as caught:
        ask_v1("chat_completions_stream", "m", MESSAGES)
    assert caught.value.partial == "ab"


def test_error_in_mid_stream(script: Script, ask_v1: Any) -> None:
    """An error object among the events is raised."""
    script.answers = [Answer(pieces=(events(chunk("a"), {"error": {"message": "it broke"}}),))]
    with pytest.raises(Exception, match="it broke"):
        ask_v1("chat_completions_stream", "m", MESSAGES)


def test_unknown_field_is_refused(script: Script, ask_v1: Any) -> None:
    """A slip of the pen is an error, and other servers' fields have a way in."""
    with pytest.raises(UsageError, match="'temprature'"):
        ask_v1("chat_completions", "m", MESSAGES, temprature=1)
    script.answers = [as_json({"choices": []})]
    ask_v1("chat_completions", "m", MESSAGES, extra_fields={"top_k": 3})
    assert script.asked[0].body["top_k"] == 3


def test_both_dialects_have_the_same_methods() -> None:
    """Whoever knows one knows the other."""
    public = {name for name in vars(V1) if not name.startswith("_")}
    assert public == {name for name in vars(AsyncV1) if not name.startswith("_")}
