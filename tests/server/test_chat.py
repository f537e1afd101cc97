"""/api/chat and /api/generate with a real model."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.server.conftest import CHAT, EMBED, short_wait

HELLO = [{"role": "user", "content": "Say hello."}]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "maximum": 200}},
    "required": ["name", "age"],
}


def chat(client: httpx.Client, messages: list[dict[str, Any]], **fields: Any) -> httpx.Response:
    return client.post("/api/chat", json={"model": CHAT, "messages": messages, "stream": False, **fields})


def generate(client: httpx.Client, prompt: str, **fields: Any) -> httpx.Response:
    return client.post("/api/generate", json={"model": CHAT, "prompt": prompt, "stream": False, **fields})


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.read().split(b"\n") if line]


def test_streamed_chat(client: httpx.Client) -> None:
    """Each line is a piece of the message; the last one says why it ended and what it cost."""
    body = {"model": CHAT, "messages": HELLO, "options": {"num_predict": 5, "temperature": 0}}
    with client.stream("POST", "/api/chat", json=body) as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        found = lines(response)
    assert [line["done"] for line in found] == [False] * (len(found) - 1) + [True]
    assert "".join(line["message"]["content"] for line in found)
    assert {line["message"]["role"] for line in found} == {"assistant"}
    last = found[-1]
    assert last["done_reason"] == "length"
    assert last["eval_count"] == 5
    assert last["prompt_eval_count"] == 33
    assert last["total_duration"] >= last["eval_duration"] > 0


def test_whole_chat_is_the_joined_stream(client: httpx.Client) -> None:
    """Greedy decoding gives the same text streamed and whole."""
    options = {"num_predict": 12, "temperature": 0}
    whole = chat(client, HELLO, options=options).json()
    with client.stream("POST", "/api/chat", json={"model": CHAT, "messages": HELLO, "options": options}) as response:
        streamed = "".join(line["message"]["content"] for line in lines(response))
    assert whole["message"] == {"role": "assistant", "content": streamed}
    assert whole["done"] is True


def test_seed_makes_a_sample_repeatable(client: httpx.Client) -> None:
    """The same seed gives the same text at a high temperature; another one gives another."""

    def sample(seed: int) -> str:
        options = {"seed": seed, "temperature": 1.5, "num_predict": 24}
        return generate(client, "Once upon a time", raw=True, options=options).json()["response"]

    assert sample(7) == sample(7)
    assert sample(7) != sample(8)


def test_stop_ends_the_text_before_the_word(client: httpx.Client) -> None:
    """A stop text ends the generation and is not part of it."""
    options = {"stop": [" 6"], "temperature": 0, "num_predict": 60}
    reply = generate(client, "1 2 3 4", raw=True, options=options).json()
    assert reply["response"] == " 5"
    assert reply["done_reason"] == "stop"


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_schema_shapes_the_answer(client: httpx.Client, path: str) -> None:
    """With a JSON schema the answer has the properties it names and no others."""
    question = "Describe a man: his name is Tom and he is 31."
    options = {"temperature": 0, "num_predict": 120}
    if path == "chat":
        messages = [{"role": "user", "content": question}]
        text = chat(client, messages, format=PERSON, options=options).json()["message"]["content"]
    else:
        text = generate(client, question, format=PERSON, options=options).json()["response"]
    person = json.loads(text)
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)


def test_json_format_opens_an_object(client: httpx.Client) -> None:
    """The format "json" without a schema allows any object and nothing else."""
    reply = generate(client, "A JSON object:", format="json", options={"num_predict": 8, "temperature": 0})
    assert reply.json()["response"].lstrip().startswith("{")


def test_unknown_format_is_refused(client: httpx.Client) -> None:
    """A format that is neither "json" nor a schema is an error."""
    reply = chat(client, HELLO, format="yaml")
    assert reply.status_code == 500
    text = r'invalid format: "\"yaml\""; expected "json" or a valid JSON Schema object'
    assert reply.json() == {"error": text}


def test_system_message_counts(client: httpx.Client) -> None:
    """`system` replaces the template's own system text, so fewer tokens are read."""
    options = {"num_predict": 1}
    short = generate(client, "Hi", system="Be brief.", options=options).json()["prompt_eval_count"]
    default = generate(client, "Hi", options=options).json()["prompt_eval_count"]
    assert short < default


def test_raw_prompt_is_not_put_into_the_template(client: httpx.Client) -> None:
    """A raw prompt is read as it is, and there is no context to go on from."""
    reply = generate(client, "Hello there", raw=True, options={"num_predict": 1}).json()
    assert reply["prompt_eval_count"] == 2
    assert "context" not in reply


def test_context_of_a_reply_can_be_continued(client: httpx.Client) -> None:
    """The tokens in `context` stand before the next prompt."""
    first = generate(client, "My name is Tom.", options={"num_predict": 4, "temperature": 0}).json()
    second = generate(client, "Hi", context=first["context"], options={"num_predict": 1}).json()
    assert second["prompt_eval_count"] > len(first["context"])


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_empty_request_loads_the_model(client: httpx.Client, path: str) -> None:
    """Nothing to answer: the model is loaded and the reply says so."""
    reply = client.post(f"/api/{path}", json={"model": CHAT}).json()
    assert reply["done"] is True
    assert reply["done_reason"] == "load"


def test_oldest_messages_are_dropped_when_the_context_is_full(client: httpx.Client) -> None:
    """The system message and the last one stay; with `truncate` false it is an error instead."""
    messages = [{"role": "system", "content": "Be brief."}]
    messages += [{"role": "user", "content": f"Remember the number {n}. " * 8} for n in range(10)]
    messages += [{"role": "user", "content": "Hello?"}]
    options = {"num_ctx": 160, "num_predict": 3}
    assert chat(client, messages, options=options).json()["prompt_eval_count"] < 160
    refused = chat(client, messages, options=options, truncate=False)
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("the prompt is longer than the context length")


def test_one_message_longer_than_the_context_is_refused(client: httpx.Client) -> None:
    """Nothing can be dropped, and half a question is not answered silently."""
    reply = chat(client, [{"role": "user", "content": "word " * 300}], options={"num_ctx": 128})
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("the prompt is longer than the context length")


def test_long_prompt_is_cut_in_its_middle(client: httpx.Client) -> None:
    """/api/generate keeps the start and the newest part, as the real server does."""
    reply = generate(client, "word " * 300, raw=True, options={"num_ctx": 128, "num_predict": 2}).json()
    assert 60 <= reply["prompt_eval_count"] < 128


def test_answer_ends_at_the_context_that_was_asked_for(client: httpx.Client) -> None:
    """`num_ctx` bounds prompt and answer together, also on a model loaded with more."""
    options = {"num_ctx": 48, "temperature": 0}
    reply = generate(client, "1 2 3 4 5 6 7 8 9 10 11", raw=True, options=options).json()
    assert reply["done_reason"] == "length"
    assert reply["prompt_eval_count"] + reply["eval_count"] <= 48


def test_log_probabilities(client: httpx.Client) -> None:
    """Each token comes with its log probability and the most likely others."""
    reply = chat(client, HELLO, logprobs=True, top_logprobs=2, options={"num_predict": 2, "temperature": 0}).json()
    assert len(reply["logprobs"]) >= 2
    for entry in reply["logprobs"]:
        assert entry["logprob"] <= 0
        assert len(entry["top_logprobs"]) == 2


def test_model_without_chat_says_so(client: httpx.Client) -> None:
    """An embedding model is refused with the real server's words."""
    reply = client.post("/api/chat", json={"model": EMBED, "messages": HELLO})
    assert (reply.status_code, reply.json()) == (400, {"error": f'"{EMBED}" does not support chat'})
    reply = client.post("/api/generate", json={"model": EMBED, "prompt": "hi"})
    assert (reply.status_code, reply.json()) == (400, {"error": f'"{EMBED}" does not support generate'})


def test_missing_capabilities_are_named(client: httpx.Client) -> None:
    """Tools, thinking and insertion are refused by a model whose template has none of them."""
    full = f"registry.ollama.ai/library/{CHAT}"
    tool = {"type": "function", "function": {"name": "now", "parameters": {}}}
    assert chat(client, HELLO, tools=[tool]).json() == {"error": f"{full} does not support tools"}
    assert chat(client, HELLO, think=True).json() == {"error": f'"{CHAT}" does not support thinking'}
    assert generate(client, "a", suffix="b").json() == {"error": f"{full} does not support insert"}


def test_hanging_up_frees_the_engine(client: httpx.Client) -> None:
    """A reader that goes away in mid-stream does not hold up the next one."""
    body = {"model": CHAT, "prompt": "1 2 3 4", "raw": True, "options": {"num_predict": 3000, "temperature": 0}}
    with client.stream("POST", "/api/generate", json=body) as response:
        for _, _ in zip(range(3), response.iter_lines(), strict=False):
            pass
    started = time.perf_counter()
    assert generate(client, "Hi", options={"num_predict": 1}).status_code == 200
    assert time.perf_counter() - started < short_wait(client)


def test_second_generation_waits_for_the_first(client: httpx.Client) -> None:
    """Two streams read in turns both end well: the second starts when the first is done."""
    body = {"model": CHAT, "prompt": "1 2 3", "raw": True, "options": {"num_predict": 6, "temperature": 0}}
    with client.stream("POST", "/api/generate", json=body) as response:
        first = lines(response)
    with client.stream("POST", "/api/generate", json=body) as response:
        second = lines(response)
    assert [line["response"] for line in first] == [line["response"] for line in second]
