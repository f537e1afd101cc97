"""The endpoints below /v1: what they send, to the field, and how their errors look, also in mid-stream."""

import base64
import json
import time
from typing import Any

import httpx
import numpy as np
import pytest

from pipeline.server import App
from pipeline.server.exchange import Cancellation, Refusal, Request, Stream, ndjson_reply
from pipeline.server.v1.chat_messages import native_messages
from pipeline.server.v1.dialect import event_stream
from pipeline.server.v1.response_events import ResponseEvents
from pipeline.server.v1.response_input import native_messages as response_messages
from pipeline.server.v1.response_input import native_tools
from tests.server.conftest import CHAT, EMBED

MESSAGES = [{"role": "user", "content": "hi"}]
SHORT = {"model": CHAT, "messages": MESSAGES, "max_tokens": 3, "seed": 1, "temperature": 0}
PIXEL = base64.b64encode(b"pixel").decode()


def events(reply: httpx.Response) -> list[Any]:
    assert reply.headers["content-type"] == "text/event-stream"
    blocks = reply.text.removesuffix("\n\n").split("\n\n")
    data = [block.split("data: ", 1)[1] for block in blocks]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def error(reply: httpx.Response) -> tuple[int, str, str]:
    """Status, type and message of an error, whose form is checked."""
    found = reply.json()["error"]
    assert list(found) == ["message", "type", "param", "code"]
    assert (found["param"], found["code"]) == (None, None)
    return reply.status_code, found["type"], found["message"]


def test_models(client: httpx.Client) -> None:
    """The list and one card of it agree, and a name that is not there is a 404 of the dialect."""
    listed = client.get("/v1/models").json()
    card = next(card for card in listed["data"] if card["id"] == CHAT)
    assert (listed["object"], card["object"], card["owned_by"]) == ("list", "model", "library")
    assert client.get(f"/v1/models/{CHAT}").json() == card
    assert error(client.get("/v1/models/nowhere")) == (404, "not_found_error", "model 'nowhere:latest' not found")


def test_model_whose_name_has_slashes(own_client: httpx.Client) -> None:
    """Host, namespace and tag may stand in the path."""
    own_client.post("/api/copy", json={"source": EMBED, "destination": "host.example/some/mine:v1"})
    card = own_client.get("/v1/models/host.example/some/mine:v1").json()
    assert (card["id"], card["owned_by"]) == ("host.example/some/mine:v1", "some")


def test_status(client: httpx.Client) -> None:
    """There is no cloud."""
    assert client.get("/api/status").json() == {"cloud": {"disabled": True, "source": "env"}}


def test_embeddings(client: httpx.Client) -> None:
    """Both encodings hold the native vectors, one text is a list of one, and the tokens are counted."""
    native = client.post("/api/embed", json={"model": EMBED, "input": ["a", "b c"], "dimensions": 32}).json()
    body = {"model": EMBED, "input": ["a", "b c"], "dimensions": 32}
    numbers = client.post("/v1/embeddings", json=body).json()
    packed = client.post("/v1/embeddings", json={**body, "encoding_format": "BASE64"}).json()
    assert list(numbers) == ["object", "data", "model", "usage"]
    assert [row["index"] for row in numbers["data"]] == [0, 1]
    tokens = native["prompt_eval_count"]
    assert numbers["usage"] == packed["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    expected = np.array(native["embeddings"], np.float32)
    np.testing.assert_allclose([row["embedding"] for row in numbers["data"]], expected, atol=1e-3)
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in packed["data"]]
    np.testing.assert_allclose(rows, expected, atol=1e-3)
    assert len(client.post("/v1/embeddings", json={"model": EMBED, "input": ""}).json()["data"]) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": "x", "encoding_format": "hex"}, "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64']."),
        ({}, "invalid input"),
        ({"input": []}, "invalid input"),
        ({"input": 5}, "invalid input type"),
        ({"input": "x", "dimensions": "a"}, "json: cannot unmarshal string into Go struct field EmbedRequest.dimensions of type int"),
    ],
)  # fmt: skip
def test_embeddings_that_are_refused(client: httpx.Client, body: dict[str, Any], message: str) -> None:
    """Each mistake is a 400 with the real server's words."""
    reply = client.post("/v1/embeddings", json={"model": EMBED, **body})
    assert error(reply) == (400, "invalid_request_error", message)


def test_chat_completion(client: httpx.Client) -> None:
    """The answer is the native one, with the reason it ended and the tokens it took."""
    options = {"num_predict": 3, "seed": 1, "temperature": 0, "top_p": 1.0}
    native = client.post("/api/chat", json={"model": CHAT, "messages": MESSAGES, "stream": False, "options": options})
    message = native.json()["message"]
    reply = client.post("/v1/chat/completions", json=SHORT).json()
    assert list(reply) == ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"]
    assert reply["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": message["content"]}, "finish_reason": "length"}
    ]
    prompt = native.json()["prompt_eval_count"]
    assert reply["usage"] == {"prompt_tokens": prompt, "completion_tokens": 3, "total_tokens": prompt + 3}
    assert (reply["object"], reply["system_fingerprint"]) == ("chat.completion", "fp_ollama")
    assert abs(reply["created"] - time.time()) < 60


def test_chat_completion_in_chunks(client: httpx.Client) -> None:
    """Role first, text, reason in a chunk of its own, usage when asked for, and the end mark; one time in all."""
    whole = client.post("/v1/chat/completions", json=SHORT).json()
    fields = {"stream": True, "stream_options": {"include_usage": True}, "logprobs": True, "top_logprobs": 2}
    *chunks, done = events(client.post("/v1/chat/completions", json={**SHORT, **fields}))
    assert done == "[DONE]"
    *texts, finish, usage = chunks
    assert [list(chunk["choices"][0]["delta"]) for chunk in texts[:2]] == [["role", "content"], ["content"]]
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in texts)
    assert text == whole["choices"][0]["message"]["content"]
    probabilities = [entry for chunk in texts for entry in chunk["choices"][0]["logprobs"]["content"]]
    assert [len(entry["top_logprobs"]) for entry in probabilities] == [2, 2, 2]
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    assert len({chunk["created"] for chunk in chunks}) == len({chunk["id"] for chunk in chunks}) == 1
    without = events(client.post("/v1/chat/completions", json={**SHORT, "stream": True}))
    assert "usage" not in without[-2]


def test_stop_and_formats(client: httpx.Client) -> None:
    """A text that ends the answer, any JSON object, and a schema."""
    body = {"model": CHAT, "temperature": 0, "seed": 1, "max_tokens": 60}
    counting = {**body, "messages": [{"role": "user", "content": "Count: 1, 2, 3, 4, 5, 6"}]}
    full = client.post("/v1/chat/completions", json=counting).json()["choices"][0]["message"]["content"]
    mark = full[3:5]
    cut = client.post("/v1/chat/completions", json={**counting, "stop": mark}).json()["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == (full[: full.index(mark)], "stop")
    asked = {**body, "messages": [{"role": "user", "content": "Give n as JSON."}]}
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    reply = client.post("/v1/chat/completions", json={**asked, "response_format": wanted}).json()
    assert isinstance(json.loads(reply["choices"][0]["message"]["content"])["n"], int)
    reply = client.post("/v1/chat/completions", json={**asked, "response_format": {"type": "json_object"}}).json()
    assert reply["choices"][0]["message"]["content"].lstrip().startswith("{")


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ({"messages": []}, 400, "invalid_request_error", "[] is too short - 'messages'"),
        ({"model": "nowhere"}, 404, "not_found_error", "model 'nowhere' not found"),
        ({"messages": [{"role": "user"}]}, 400, "invalid_request_error", "invalid message content type: <nil>"),
        ({"messages": [{"role": "user", "content": 1}]}, 400, "invalid_request_error", "invalid message content type: float64"),
        ({"messages": "x"}, 400, "invalid_request_error", "json: cannot unmarshal string into Go struct field ChatCompletionRequest.messages of type []openai.Message"),
        ({"messages": [{"role": 1}]}, 400, "invalid_request_error", "json: cannot unmarshal number into Go struct field Message.messages.role of type string"),
        ({"max_tokens": 1.5}, 400, "invalid_request_error", "json: cannot unmarshal number 1.5 into Go struct field ChatCompletionRequest.max_tokens of type int"),
        ({"reasoning_effort": "a"}, 400, "invalid_request_error", 'invalid reasoning value: "a" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")'),
        ({"reasoning_effort": "low"}, 400, "invalid_request_error", f'"{CHAT}" does not support thinking'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_chat_that_is_refused(
    client: httpx.Client, body: dict[str, Any], status: int, kind: str, message: str, stream: bool
) -> None:
    """What cannot be done is said with a status, streamed or not, in the real server's words."""
    reply = client.post("/v1/chat/completions", json={**SHORT, **body, "stream": stream})
    assert error(reply) == (status, kind, message)


def test_no_body(client: httpx.Client) -> None:
    """The dialect has a word of its own for it."""
    assert error(client.post("/v1/chat/completions")) == (400, "invalid_request_error", "EOF")


def test_completion(client: httpx.Client) -> None:
    """Whole and in chunks; with usage asked for, each chunk has one, and only the last is counted."""
    body = {"model": CHAT, "prompt": "hi", "max_tokens": 3, "seed": 1, "temperature": 0}
    whole = client.post("/v1/completions", json=body).json()
    assert list(whole) == ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"]
    (choice,) = whole["choices"]
    assert (list(choice), choice["finish_reason"]) == (["text", "index", "finish_reason"], "length")
    fields = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, done = events(client.post("/v1/completions", json={**body, **fields}))
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1]) == choice["text"]
    assert [chunk["usage"]["total_tokens"] for chunk in chunks[:-1]] == [0] * (len(chunks) - 1)
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])
    reply = client.post("/v1/completions", json={**body, "stop": [1]})
    assert error(reply) == (400, "invalid_request_error", "invalid type for 'stop' field: float64")


def test_hanging_up_frees_the_engine(client: httpx.Client, app: App) -> None:
    """A stream that is closed early ends its generation: the next short request need not wait for it."""
    body = {"model": CHAT, "messages": [{"role": "user", "content": "Tell a long story."}], "max_tokens": 3000}
    started = time.perf_counter()
    with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as reply:
        next(reply.iter_bytes())
    assert client.post("/v1/chat/completions", json=SHORT).status_code == 200
    assert time.perf_counter() - started < 10


def test_an_error_in_mid_stream() -> None:
    """It is an event with the dialect's error object, and the last one; the native stream is closed."""
    closed: list[bool] = []

    def lines() -> Any:
        yield {"n": 1}
        raise Refusal(500, "the engine broke off")

    cancellation = Cancellation()
    source = ndjson_reply(lines(), cancellation=cancellation, describe=str, finish=lambda: closed.append(True))
    request = Request(method="POST", path="/", cancellation=cancellation)
    reply = event_stream(source, request, lambda line: [json.dumps(line).encode()])
    assert isinstance(reply.body, Stream)
    first, second = list(reply.body)
    assert first == b'{"n": 1}'
    found = {"message": "the engine broke off", "type": "api_error", "param": None, "code": None}
    assert json.loads(second.removeprefix(b"data: ")) == {"error": found}
    assert closed == [True]


def test_parts_calls_and_results() -> None:
    """Parts become messages, calls keep their ids, and a result finds the name of the call that it answers."""
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"zone":"UTC"}'}}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    made = native_messages(
        [
            {"role": "user", "content": [{"type": "text", "text": "what time"}, image]},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "content": "noon", "tool_call_id": "call_1"},
        ]
    )
    assert made == [
        {"role": "user", "content": "what time"},
        {"role": "user", "content": "", "images": [PIXEL]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "function": {"name": "now", "arguments": {"zone": "UTC"}}}],
        },
        {"role": "tool", "content": "noon", "tool_name": "now", "tool_call_id": "call_1"},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "invalid message format"),
        ([{"type": "image_url", "image_url": "https://x/y.png"}], "image URLs are not currently supported"),
        ([{"type": "image_url", "image_url": "data:text/plain;base64,eA=="}], "invalid image input"),
        ([{"type": "input_audio", "input_audio": {}}], "missing data"),
    ],
)
def test_parts_that_are_refused(content: list[Any], message: str) -> None:
    """Each says what is wrong with it."""
    with pytest.raises(Refusal, match=message):
        native_messages([{"role": "user", "content": content}])


def test_response(client: httpx.Client) -> None:
    """Whole and in events; both have the same text, and every event has its number."""
    body = {"model": CHAT, "input": "hi", "max_output_tokens": 3, "temperature": 0, "instructions": "Be brief."}
    whole = client.post("/v1/responses", json=body).json()
    text = whole["output"][0]["content"][0]["text"]
    assert (whole["status"], whole["instructions"], whole["max_output_tokens"]) == ("completed", "Be brief.", 3)
    assert whole["usage"]["output_tokens"] == 3
    sent = events(client.post("/v1/responses", json={**body, "stream": True}))
    names = [event["type"] for event in sent]
    assert names[:4] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    ]  # fmt: skip
    assert names[-4:] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in sent] == list(range(len(sent)))
    assert "".join(event["delta"] for event in sent if event["type"].endswith(".delta")) == text
    assert sent[-1]["response"]["output"][0]["content"][0]["text"] == text
    assert list(sent[-1]["response"]) == list(whole)
    reply = client.post("/v1/responses", json={**body, "input": [{"type": "zz"}]})
    assert error(reply) == (400, "invalid_request_error", 'input[0]: unknown input item type: "zz"')


def test_items_of_a_response() -> None:
    """Reasoning joins the message after it, and a message between a call and its result joins the call."""
    made = response_messages(
        "Be kind.",
        [
            {"role": "user", "content": [{"type": "input_text", "text": "time"}, {"type": "input_text", "text": "?"}]},
            {"type": "reasoning", "encrypted_content": "I must look"},
            {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"},
            {"type": "message", "role": "assistant", "content": "looking"},
            {"type": "function_call_output", "call_id": "c1", "output": "noon"},
        ],
    )
    call = {"id": "c1", "function": {"name": "now", "arguments": {}}}
    assert made == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "time?"},
        {"role": "assistant", "content": "looking", "thinking": "I must look", "tool_calls": [call]},
        {"role": "tool", "content": "noon", "tool_call_id": "c1"},
    ]


def test_tools_of_a_namespace() -> None:
    """They get its name in front."""
    member = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}
    (tool,) = native_tools([{"type": "namespace", "name": "clock", "tools": [member]}])
    assert tool["function"]["name"] == "clock.now"


def test_events_of_reasoning_and_calls() -> None:
    """Reasoning is an item, each call is one, and the last event holds them in order."""
    lines: list[dict[str, Any]] = [
        {"message": {"content": "", "thinking": "hm"}, "done": False},
        {
            "message": {
                "content": "",
                "tool_calls": [{"id": "c1", "function": {"name": "now", "arguments": {"a": 1}}}],
            },
            "done": True,
            "eval_count": 2,
        },
    ]
    converter = ResponseEvents({"model": "m"}, "resp_1", "msg_1")
    sent = [json.loads(piece.split(b"data: ")[1]) for line in lines for piece in converter.of(line)]
    items = sent[-1]["response"]["output"]
    assert [item["type"] for item in items] == ["reasoning", "function_call"]
    assert (items[0]["encrypted_content"], items[1]["arguments"]) == ("hm", '{"a":1}')
    assert [event["output_index"] for event in sent if event["type"] == "response.output_item.done"] == [0, 1]
    assert sent[-1]["response"]["usage"]["output_tokens"] == 2
