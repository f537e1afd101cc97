"""What each method sends, and what it makes of the reply."""

import warnings
from typing import Any

import numpy as np
import pytest

from pipeline.api import AsyncClient, Client, Message
from pipeline.errors import BadReply, UsageError
from tests.api.conftest import Ask
from tests.api.scripted_server import Answer, Script, as_json, lines

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("method", "arguments", "fields", "sent", "answer"),
    [
        ("version", (), {}, ("GET", "/api/version", None), {"version": "0.33.0"}),
        ("tags", (), {}, ("GET", "/api/tags", None), {"models": []}),
        ("ps", (), {}, ("GET", "/api/ps", None), {"models": None}),
        ("show", ("m",), {}, ("POST", "/api/show", {"model": "m"}), {}),
        ("show", ("m",), {"verbose": True}, ("POST", "/api/show", {"model": "m", "verbose": True}), {}),
        (
            "embed",
            ("m", ["a"]),
            {},
            ("POST", "/api/embed", {"model": "m", "input": ["a"], "truncate": False}),
            {"model": "m", "embeddings": [[1.0]]},
        ),
        (
            "embed",
            ("m", ["a"]),
            {"truncate": True, "dimensions": 1, "keep_alive": "5m", "options": {"num_ctx": 9}},
            (
                "POST",
                "/api/embed",
                {
                    "model": "m",
                    "input": ["a"],
                    "truncate": True,
                    "dimensions": 1,
                    "keep_alive": "5m",
                    "options": {"num_ctx": 9},
                },
            ),
            {"model": "m", "embeddings": [[1.0]]},
        ),
        (
            "generate",
            ("m", "p"),
            {"system": "s", "think": None},
            ("POST", "/api/generate", {"model": "m", "prompt": "p", "system": "s", "stream": False}),
            {"response": "x", "done": True},
        ),
        (
            "chat",
            ("m", MESSAGES),
            {"format": "json"},
            ("POST", "/api/chat", {"model": "m", "messages": MESSAGES, "format": "json", "stream": False}),
            {"message": {"role": "assistant", "content": "x"}, "done": True},
        ),
        ("copy", ("a", "b"), {}, ("POST", "/api/copy", {"source": "a", "destination": "b"}), None),
        ("delete", ("m",), {}, ("DELETE", "/api/delete", {"model": "m"}), None),
        (
            "generate_stream",
            ("m", "p"),
            {},
            ("POST", "/api/generate", {"model": "m", "prompt": "p", "stream": True}),
            {"response": "", "done": True},
        ),
        (
            "chat_stream",
            ("m", MESSAGES),
            {},
            ("POST", "/api/chat", {"model": "m", "messages": MESSAGES, "stream": True}),
            {"message": {"role": "assistant", "content": ""}, "done": True},
        ),
        ("show", ("m",), {"system": "s"}, ("POST", "/api/show", {"model": "m", "system": "s"}), {}),
        (
            "push_stream",
            ("me/m",),
            {},
            ("POST", "/api/push", {"model": "me/m", "stream": True}),
            {"status": "success"},
        ),
        (
            "create",
            ("m", "base"),
            {"system": "s", "parameters": {"stop": ["x"]}, "messages": [Message(role="user", content="hi")]},
            (
                "POST",
                "/api/create",
                {
                    "model": "m",
                    "from": "base",
                    "system": "s",
                    "parameters": {"stop": ["x"]},
                    "messages": [{"role": "user", "content": "hi"}],
                    "stream": True,
                },
            ),
            {"status": "success"},
        ),
        (
            "generate",
            ("m",),
            {"images": [b"\x00\x01", "AAE="], "extra_fields": {"newer": 1}},
            (
                "POST",
                "/api/generate",
                {"model": "m", "prompt": "", "images": ["AAE=", "AAE="], "newer": 1, "stream": False},
            ),
            {"response": "", "done": True},
        ),
        (
            "pull_stream",
            ("m",),
            {"insecure": True},
            ("POST", "/api/pull", {"model": "m", "insecure": True, "stream": True}),
            {"status": "success"},
        ),
    ],
)
def test_method_path_and_body(
    script: Script,
    ask: Ask,
    method: str,
    arguments: tuple[Any, ...],
    fields: dict[str, Any],
    sent: tuple[str, str, Any],
    answer: Any,
) -> None:
    """Fields without a value are left out; the rest arrives as it was given."""
    script.answers = [as_json(answer)]
    ask(method, *arguments, **fields)
    assert [(asked.method, asked.path, asked.body) for asked in script.asked] == [sent]


def test_replies_are_records(script: Script, ask: Ask) -> None:
    """Fields are typed, and those that nobody knows yet are kept."""
    script.answers = [
        as_json({"models": [{"name": "m:latest", "size": 5, "digest": "d", "details": {"family": "bert"}, "new": 1}]})
    ]
    (model,) = ask("tags")
    assert (model.name, model.size, model.details.family, model.extra) == ("m:latest", 5, "bert", {"new": 1})
    script.answers = [
        as_json(
            {
                "model": "m",
                "message": {"role": "assistant", "content": "x", "tool_calls": [{"function": {"name": "f"}}]},
                "done": True,
                "done_reason": "stop",
                "eval_count": 3,
            }
        )
    ]
    reply = ask("chat", "m", MESSAGES)
    assert [call.function.name for call in reply.message.tool_calls] == ["f"]
    assert (reply.done, reply.done_reason, reply.eval_count, reply.total_duration) == (True, "stop", 3, None)


def test_a_reply_can_be_sent_back(script: Script, ask: Ask) -> None:
    """The message of a reply is a message of the next request, tool calls, unknown fields and all."""
    call = {"id": "1", "function": {"name": "f", "arguments": {"a": [1]}}}
    sent = {"role": "assistant", "content": "x", "thinking": "hm", "tool_calls": [call], "newer": {"b": 2}}
    script.answers = [as_json({"message": sent, "done": True})]
    message = ask("chat", "m", MESSAGES).message
    assert message.tool_calls[0].function.arguments == {"a": [1]}
    ask("chat", "m", [*MESSAGES, message, {"role": "user", "content": "y", "images": [b"\x00"]}])
    assert script.asked[1].body["messages"] == [
        *MESSAGES,
        sent,
        {"role": "user", "content": "y", "images": ["AA=="]},
    ]


def test_log_probabilities_are_records(script: Script, ask: Ask) -> None:
    """Each token comes with its likeliest rivals."""
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1}]}
    script.answers = [as_json({"response": "a", "done": True, "logprobs": [entry]})]
    (token,) = ask("generate", "m", "p", logprobs=True, top_logprobs=1).logprobs
    assert (token.token, token.logprob, token.bytes) == ("a", -0.5, (97,))
    assert [(rival.token, rival.logprob) for rival in token.top_logprobs] == [("b", -1)]


@pytest.mark.parametrize("method", ["chat", "generate", "create"])
def test_field_that_does_not_exist_is_refused(script: Script, ask: Ask, method: str) -> None:
    """A slip of the pen is an error that lists the fields, and nothing is sent."""
    with pytest.raises(UsageError, match="'sytem'") as caught:
        ask(method, "m", [] if method == "chat" else "p", sytem="x")
    assert "extra_fields" in caught.value.hint
    assert script.asked == []


def test_embeddings_are_a_float32_matrix(script: Script, ask: Ask) -> None:
    """Rows in order, numbers of any JSON form, counts and durations beside them."""
    script.answers = [
        Answer(pieces=(b'{"model":"m","embeddings":[[1,-2.5e-1],[0.0,3]],', b'"prompt_eval_count":4,"x":[]}'))
    ]
    reply = ask("embed", "m", ["a", "b"])
    assert reply.matrix.dtype == np.float32
    assert reply.matrix.tolist() == [[1.0, -0.25], [0.0, 3.0]]
    assert (reply.model, reply.prompt_eval_count, reply.total_duration) == ("m", 4, None)


@pytest.mark.parametrize(
    "content",
    [
        b'{"embeddings":[[1,2]]}',
        b'{"embeddings":[[1,2],[3]]}',
        b'{"embeddings":[[1,2],["3","4"]]}',
        b'{"embeddings":[[1,2],[3,null]]}',
        b'{"embeddings":[[1,2],[3,NaN]]}',
        b'{"embeddings":[[1,2],3]}',
        b'{"embeddings":{"a":[1],"b":[2]}}',
        b'{"embedding":[1,2]}',
        b"[]",
        b"<html>502</html>",
        b"",
    ],
)
def test_bad_embeddings_are_refused(script: Script, ask: Ask, content: bytes) -> None:
    """Too few rows, ragged rows, other types, no JSON: never a matrix."""
    script.answers = [Answer(pieces=(content,) if content else ())]
    with pytest.raises(BadReply) as caught:
        ask("embed", "m", ["a", "b"])
    assert caught.value.hint or "numbers" in caught.value.message
    assert caught.value.request == f"POST {script.url}/api/embed"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("version", ()), ("tags", ()), ("show", ("m",)), ("chat", ("m", MESSAGES)), ("generate", ("m", "p"))],
)
@pytest.mark.parametrize("content", [b"", b"no json", b"[1]", b'"text"', b'{"models": 3, "message": 3, "response": 3}'])
def test_bad_replies_are_named(
    script: Script, ask: Ask, method: str, arguments: tuple[Any, ...], content: bytes
) -> None:
    """Whatever comes instead of the reply is a BadReply, or leaves fields out; never another exception."""
    script.answers = [Answer(pieces=(content,) if content else ())]
    try:
        ask(method, *arguments)
    except BadReply as error:
        assert error.request.endswith(script.asked[0].path)


def test_older_embeddings_warn(script: Script, ask: Ask) -> None:
    """The deprecated endpoint works and says that it is deprecated; a reply without a vector is a bad one."""
    script.answers = [as_json({"embedding": [0.5, 1]})]
    with pytest.warns(DeprecationWarning, match="use embed"):
        assert ask("embeddings", "m", "text") == (0.5, 1)
    assert script.asked[0].body == {"model": "m", "prompt": "text"}
    script.answers = [as_json({})]
    with warnings.catch_warnings(), pytest.raises(BadReply):
        warnings.simplefilter("ignore")
        ask("embeddings", "m", "text")


def test_key_and_headers_are_sent(script: Script, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """OLLAMA_API_KEY goes as a bearer token, and further headers as they are given."""
    script.answers = [as_json({"version": "1"})]
    ask("version")
    assert "authorization" not in script.asked[0].headers
    monkeypatch.setenv("OLLAMA_API_KEY", " secret ")
    ask("version", settings={"headers": {"X-Team": "a"}})
    assert script.asked[1].headers["authorization"] == "Bearer secret"
    assert script.asked[1].headers["x-team"] == "a"


def test_host_comes_from_the_environment(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument OLLAMA_HOST counts, path and all."""
    script.answers = [as_json({"version": "1"})]
    monkeypatch.setenv("OLLAMA_HOST", script.url.removeprefix("http://") + "/behind/")
    with Client() as client:
        assert client.version() == "1"
    assert script.asked[0].path == "/behind/api/version"


def test_proxies_are_not_asked_for_loopback(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is for other machines."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    script.answers = [as_json({"version": "1"})]
    with Client(script.url) as client:
        assert client.version() == "1"


def test_both_clients_have_the_same_methods() -> None:
    """Whoever knows one client knows the other."""
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public == {name for name in vars(AsyncClient) if not name.startswith("_")}


def test_line_helper_keeps_odd_characters() -> None:
    """The tests' own lines hold U+2028 as it is, or the test of streams would test nothing."""
    assert "\u2028".encode() in lines({"a": "\u2028"})
