"""Every way in which a call can fail has a class of its own, the server's words, the request and a hint."""

import socket
from typing import Any

import httpx
import pytest

from pipeline.api import AsyncClient, Client, RetryPolicy
from pipeline.api.retry import retriable
from pipeline.api.wire import error_from_httpx
from pipeline.errors import (
    ApiError,
    BadRequest,
    InputTooLong,
    ModelNotFound,
    NotSupported,
    PipelineError,
    ServerBusy,
    ServerError,
    ServerTimeout,
    ServerUnreachable,
    StatusError,
    UsageError,
)
from tests.api.conftest import QUICK, Ask
from tests.api.scripted_server import Answer, Script, as_json

VERSION = {"version": "0.33.0"}


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "invalid input type", BadRequest),
        (400, "the input length exceeds the context length", InputTooLong),
        (400, "request (631 tokens) exceeds the available context size (256 tokens), try increasing it", InputTooLong),
        (401, "unauthorized", BadRequest),
        (403, "forbidden", BadRequest),
        (404, "model 'x' not found", ModelNotFound),
        (404, 'model "x" not found, try pulling it first', ModelNotFound),
        (404, "404 page not found", BadRequest),
        (405, "method not allowed", BadRequest),
        (429, "too many requests", ServerBusy),
        (499, "request canceled", BadRequest),
        (500, "llama runner process has terminated", ServerError),
        (400, '"all-minilm" does not support chat', NotSupported),
        (501, "this model does not support embeddings", NotSupported),
        (501, "not implemented", ServerError),
        (502, "bad gateway", ServerError),
        (503, "server busy, please try again.  maximum pending requests exceeded", ServerBusy),
        (504, "gateway timeout", ServerError),
    ],
)
def test_each_status_has_its_error(script: Script, ask: Ask, status: int, text: str, kind: type[StatusError]) -> None:
    """Status, the server's words and the request are on the error, and it says what to do."""
    script.answers = [as_json({"error": text}, status=status)]
    with pytest.raises(StatusError) as caught:
        ask("version", settings={"retry": RetryPolicy.none()})
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.server_text, error.request) == (status, text, f"GET {script.url}/api/version")
    assert text in error.message
    if kind is not BadRequest or status in (401, 403):
        assert error.hint


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"error": {"message": "no such model", "type": "x", "param": null, "code": null}}', "no such model"),
        (b'{"error": "{\\"error\\": {\\"code\\": 502, \\"message\\": \\"the runner failed\\"}}"}', "the runner failed"),
        (b"<html>\n<h1>502 Bad\nGateway</h1>", "<html> <h1>502 Bad Gateway</h1>"),
        (b"", "HTTP status 502"),
        (b"x" * 5000, "x" * 300),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_error_bodies_of_any_kind(script: Script, ask: Ask, content: bytes, text: str) -> None:
    """The other dialect's objects, a proxy's page, nothing at all: what can be said of them is said, in one line."""
    script.answers = [Answer(status=502, pieces=(content,) if content else ())]
    with pytest.raises(ServerError) as caught:
        ask("version", settings={"retry": RetryPolicy.none()})
    assert caught.value.server_text == text
    assert "\n" not in caught.value.message


def test_unknown_model_names_the_pull(script: Script, ask: Ask) -> None:
    """The hint can be copied."""
    script.answers = [as_json({"error": "model 'nomic-embed-text' not found"}, status=404)]
    with pytest.raises(ModelNotFound) as caught:
        ask("show", "nomic-embed-text")
    assert caught.value.hint == "pipeline models pull nomic-embed-text"
    assert len(script.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(script: Script, ask: Ask, status: int) -> None:
    """After two failures the third answer counts, and a hook has seen both."""
    seen: list[tuple[int, int]] = []

    def hook(attempt: int, delay: float, error: ApiError) -> None:
        assert 0 <= delay <= QUICK.max_delay
        assert isinstance(error, StatusError)
        seen.append((attempt, error.status))

    failing = as_json({"error": "busy"}, status=status)
    script.answers = [failing, failing, as_json(VERSION)]
    assert ask("version", settings={"on_retry": hook}) == "0.33.0"
    assert seen == [(1, status), (2, status)]


@pytest.mark.parametrize("status", [400, 401, 404, 405, 501])
def test_lasting_failures_are_not(script: Script, ask: Ask, status: int) -> None:
    """What would fail again is asked once."""
    script.answers = [as_json({"error": "no"}, status=status)]
    with pytest.raises(StatusError):
        ask("version")
    assert len(script.asked) == 1


def test_number_of_attempts_is_bounded(script: Script, ask: Ask) -> None:
    """The last failure is raised after as many attempts as the policy allows."""
    script.answers = [as_json({"error": "busy"}, status=503)]
    with pytest.raises(ServerBusy):
        ask("version")
    assert len(script.asked) == QUICK.attempts


def test_resets_are_tried_again(script: Script, ask: Ask) -> None:
    """A connection that breaks before or in a reply is asked again."""
    script.answers = [Answer(cut=True), Answer(cut=True, pieces=(b'{"vers',)), as_json(VERSION)]
    assert ask("version") == "0.33.0"


def test_time_outs_are_tried_again(script: Script, ask: Ask) -> None:
    """An answer that does not come in time is asked for again."""
    script.answers = [Answer(pieces=(b"{}",), delay=0.5), as_json(VERSION)]
    assert ask("version", settings={"timeout": 0.1}) == "0.33.0"


def test_lasting_time_out(script: Script, ask: Ask) -> None:
    """The error tells what can be raised."""
    script.answers = [Answer(pieces=(b"{}",), delay=0.3)]
    with pytest.raises(ServerTimeout) as caught:
        ask("version", settings={"timeout": 0.05, "retry": RetryPolicy.none()})
    assert "--timeout" in caught.value.hint


def test_retry_after_is_obeyed(script: Script, ask: Ask) -> None:
    """The server's own wish replaces the policy's delay."""
    delays: list[float] = []
    busy = as_json({"error": "busy"}, status=503, Retry_After="0")
    script.answers = [busy, as_json(VERSION)]
    slow = RetryPolicy(attempts=2, base_delay=100.0, max_delay=100.0)
    hook = lambda _attempt, delay, _error: delays.append(delay)  # noqa: E731
    assert ask("version", settings={"retry": slow, "on_retry": hook}) == "0.33.0"
    assert delays == [0.0]


def test_total_time_is_bounded() -> None:
    """A wait that would pass the limit is not begun, be it the policy's or the server's."""
    policy = RetryPolicy(attempts=9, base_delay=4.0, max_delay=8.0, total_seconds=10.0)
    failing = ServerError("x", status=500, server_text="x")
    assert policy.delay(failing, attempt=1, elapsed=0.0, jitter=lambda: 0.5) == 2.0
    assert policy.delay(failing, attempt=4, elapsed=0.0, jitter=lambda: 1.0) == 8.0
    assert policy.delay(failing, attempt=4, elapsed=3.0, jitter=lambda: 1.0) is None
    asked_for = ServerBusy("x", status=503, server_text="x", retry_after=60.0)
    assert policy.delay(asked_for, attempt=1, elapsed=0.0) is None
    assert policy.delay(failing, attempt=9, elapsed=0.0) is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_refused_connection(client: type[Client]) -> None:
    """Nothing listens: the error names the address and what to check."""
    from tests.api.conftest import ask_async, ask_sync

    ask = ask_sync if client is Client else ask_async
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServerUnreachable) as caught:
        ask(url, "version", settings={"retry": QUICK})
    assert url in caught.value.message
    assert "OLLAMA_HOST" in caught.value.hint


@pytest.mark.parametrize("host", ["ftp://127.0.0.1", "http://exa mple"])
def test_impossible_addresses_are_the_users_mistake(host: str) -> None:
    """A scheme that is not spoken or a name that cannot be is a usage error."""
    with pytest.raises((UsageError, ServerUnreachable)) as caught, Client(host, retry=RetryPolicy.none()) as client:
        client.version()
    assert "--host" in caught.value.hint


PASSING = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)


def every_httpx_error() -> list[type[Exception]]:
    found: list[type[Exception]] = []
    queue: list[type[Exception]] = [httpx.HTTPError, httpx.StreamError]
    while queue:
        kind = queue.pop()
        found.append(kind)
        queue.extend(kind.__subclasses__())
    return [*found, httpx.InvalidURL]


@pytest.mark.parametrize("kind", every_httpx_error(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("partial", [None, "text"])
def test_every_httpx_error_is_mapped(kind: type[Any], partial: str | None) -> None:
    """Whatever the transport raises becomes one of ours, with a hint; only passing faults are tried again."""
    error = kind.__new__(kind)
    Exception.__init__(error, "words")
    mapped = error_from_httpx(error, "GET http://x/api", partial=partial)
    assert isinstance(mapped, PipelineError)
    assert mapped.hint
    assert "GET http://x/api" in mapped.message
    if partial is None:
        assert retriable(mapped) == issubclass(kind, PASSING)
