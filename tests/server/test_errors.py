"""Statuses and error bodies, word for word those of the real server."""

import httpx
import pytest

from tests.server.conftest import CHAT

UNMARSHAL = "json: cannot unmarshal"
NINES = "9" * 5000
"""More digits than Python reads, and more than a float64 can hold."""

CASES = [
    ("POST", "/api/embed", b"", 400, "missing request body"),
    ("POST", "/api/chat", b"  ", 400, "missing request body"),
    ("POST", "/api/chat", b"{", 400, "unexpected EOF"),
    ("POST", "/api/chat", b"{'a'}", 400, r"invalid character '\'' looking for beginning of object key string"),
    ("POST", "/api/chat", b"hello", 400, "invalid character 'h' looking for beginning of value"),
    ("POST", "/api/embed", b"[]", 400, f"{UNMARSHAL} array into Go value of type api.EmbedRequest"),
    ("POST", "/api/embed", b'{"model":7}', 400, f"{UNMARSHAL} number into Go struct field EmbedRequest.model of type string"),
    ("POST", "/api/embed", b'{"truncate":"x"}', 400, f"{UNMARSHAL} string into Go struct field EmbedRequest.truncate of type bool"),
    ("POST", "/api/embed", b'{"dimensions":1.5}', 400, f"{UNMARSHAL} number 1.5 into Go struct field EmbedRequest.dimensions of type int"),
    ("POST", "/api/chat", b'{"messages":[{"content":1}]}', 400, f"{UNMARSHAL} number into Go struct field ChatRequest.messages.content of type string"),
    ("POST", "/api/chat", b'{"messages":[1]}', 400, f"{UNMARSHAL} number into Go struct field ChatRequest.messages of type api.Alias"),
    ("POST", "/api/chat", b'{"keep_alive":1e400}', 400, f"{UNMARSHAL} number 1e400 into Go struct field ChatRequest.keep_alive of type float64"),
    ("POST", "/api/chat", f'{{"keep_alive":{NINES}}}'.encode(), 400, f"{UNMARSHAL} number {NINES} into Go struct field ChatRequest.keep_alive of type float64"),
    ("POST", "/api/chat", f'{{"keep_alive":-{NINES[:400]}}}'.encode(), 400, f"{UNMARSHAL} number -{NINES[:400]} into Go struct field ChatRequest.keep_alive of type float64"),
    ("POST", "/api/chat", f'{{"options":{{"a":[{NINES}]}}}}'.encode(), 400, f"{UNMARSHAL} number {NINES} into Go struct field ChatRequest.options of type float64"),
    ("POST", "/api/embed", f'{{"input":["a",{NINES}]}}'.encode(), 400, f"{UNMARSHAL} number {NINES} into Go struct field EmbedRequest.input of type float64"),
    ("POST", "/api/embed", f'{{"dimensions":{NINES}}}'.encode(), 400, f"{UNMARSHAL} number {NINES} into Go struct field EmbedRequest.dimensions of type int"),
    ("POST", "/api/embed", b'{"dimensions":9223372036854775808}', 400, f"{UNMARSHAL} number 9223372036854775808 into Go struct field EmbedRequest.dimensions of type int"),
    ("POST", "/api/embed", f'{{"model":{NINES}}}'.encode(), 400, f"{UNMARSHAL} number into Go struct field EmbedRequest.model of type string"),
    ("POST", "/api/embed", NINES.encode(), 400, f"{UNMARSHAL} number into Go value of type api.EmbedRequest"),
    ("POST", "/api/embed", f'{{"nobody_reads_this":{NINES}}}'.encode(), 404, "model '' not found"),
    ("POST", "/api/chat", b'{"keep_alive":"2562048h"}', 400, 'time: invalid duration "2562048h"'),
    ("POST", "/api/chat", b'{"keep_alive":true}', 400, "Unsupported type: 'bool'"),
    ("POST", "/api/chat", b'{"keep_alive":"5"}', 400, 'time: missing unit in duration "5"'),
    ("POST", "/api/chat", b'{"keep_alive":"5y"}', 400, 'time: unknown unit "y" in duration "5y"'),
    ("POST", "/api/chat", b'{"think":"loud"}', 400, 'invalid think value: "loud" (must be "high", "medium", "low", "max", true, or false)'),
    ("POST", "/api/chat", b'{"top_logprobs":21}', 400, "top_logprobs must be between 0 and 20"),
    ("POST", "/api/chat", b"{}", 400, "model is required"),
    ("POST", "/api/embeddings", b"{}", 400, "model is required"),
    ("POST", "/api/show", b"{}", 400, "model is required"),
    ("DELETE", "/api/delete", b"{}", 400, "model is required"),
    ("POST", "/api/generate", b"{}", 404, "model '' not found"),
    ("POST", "/api/embed", b"{}", 404, "model '' not found"),
    ("POST", "/api/pull", b"{}", 400, "invalid model name"),
    ("POST", "/api/chat", b'{"model":"a b"}', 400, "invalid model name"),
    ("POST", "/api/chat", b'{"model":"nope"}', 404, "model 'nope' not found"),
    ("POST", "/api/generate", b'{"model":"nope"}', 404, "model 'nope' not found"),
    ("POST", "/api/show", b'{"model":"nope"}', 404, "model 'nope:latest' not found"),
    ("POST", "/api/embed", b'{"model":"nope"}', 404, 'model "nope" not found, try pulling it first'),
    ("DELETE", "/api/delete", b'{"name":"nope"}', 404, "model 'nope' not found"),
    ("POST", "/api/copy", b'{"source":"nope","destination":"b"}', 404, 'model "nope" not found'),
    ("POST", "/api/copy", b'{"source":"nope"}', 400, 'destination "" is invalid'),
    ("POST", "/api/generate", f'{{"model":"{CHAT}","prompt":"a","options":{{"seed":"x"}}}}'.encode(), 500, 'option "seed" must be of type integer'),
    ("POST", "/api/generate", f'{{"model":"{CHAT}","prompt":"a","options":{{"stop":"x"}}}}'.encode(), 500, 'option "stop" must be of type array'),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "text"), CASES, ids=lambda value: str(value)[:40])
def test_error_body(client: httpx.Client, method: str, path: str, body: bytes, status: int, text: str) -> None:
    """A bad request gets the status and the text that the real server gives."""
    reply = client.request(method, path, content=body)
    assert (reply.status_code, reply.json()) == (status, {"error": text})


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nothing", 404, "404 page not found"),
        ("GET", "/v1/nothing", 404, "404 page not found"),
        ("GET", "/api/chat", 405, "405 method not allowed"),
        ("POST", "/api/tags", 405, "405 method not allowed"),
    ],
)
def test_unknown_route(client: httpx.Client, method: str, path: str, status: int, text: str) -> None:
    """Unknown paths and wrong methods get the plain texts of the real server's router."""
    reply = client.request(method, path)
    assert (reply.status_code, reply.text) == (status, text)


def test_half_a_surrogate_pair_is_replaced(client: httpx.Client) -> None:
    """JSON can name half a character; it becomes U+FFFD and breaks nothing."""
    reply = client.post("/api/embed", content=b'{"model":"all-minilm","input":"a \\ud800 b"}')
    assert reply.status_code == 200


def test_what_follows_the_first_json_value_is_ignored(client: httpx.Client) -> None:
    """As in the real server, whose decoder reads one value."""
    assert client.post("/api/show", content=b'{"model":"all-minilm"} trailing').status_code == 200
