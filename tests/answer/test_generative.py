"""Answers by a chat model: what it is given to read, what is said of the rest; on scripted sockets and a real model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.answer import answer_with_model
from pipeline.answer.passages import estimated_tokens, least_tokens, select_passages
from pipeline.answer.prompt import messages_for
from pipeline.api import Client, RetryPolicy
from pipeline.errors import BadRequest, ServerError
from pipeline.server import App, InProcessTransport, ModelStore
from pipeline.types import Answer as Answered
from pipeline.types import Hit
from tests import make
from tests.api.scripted_server import Answer, Script, as_json, lines, scripted_server
from tests.conftest import CHAT_MODEL

QUESTION = "How often are signing keys rotated?"
KEYS = "Signing keys are rotated every ninety days."
TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length"
)
"""The real server's words."""


def show(context: int) -> Answer:
    return as_json({"model_info": {"general.architecture": "qwen2", "qwen2.context_length": context}})


def reply(text: str = f"{KEYS} [1]", *, read: int | None = None, wrote: int = 10, reason: str = "stop") -> Answer:
    last: dict[str, Any] = {"done": True, "done_reason": reason, "eval_count": wrote}
    if read is not None:
        last["prompt_eval_count"] = read
    message = {"role": "assistant", "content": text}
    return Answer(
        pieces=(lines({"message": message, "done": False}, {"message": {"role": "", "content": ""}, **last}),)
    )


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def ask(script: Script, hits: list[Hit], *answers: Answer) -> Answered:
    script.answers = list(answers)
    with Client(script.url, retry=RetryPolicy.none(), timeout=60) as client:
        return answer_with_model(client, "m", QUESTION, hits)


def options_sent(script: Script) -> list[dict[str, Any]]:
    return [asked.body["options"] for asked in script.asked if asked.path == "/api/chat"]


def sources_sent(script: Script) -> list[int]:
    """How many passages stood in the prompt of each request."""
    return [
        asked.body["messages"][1]["content"].count("</source ") for asked in script.asked if asked.path == "/api/chat"
    ]


def hits_of(count: int, *, letters: int = 900) -> list[Hit]:
    """Hits of some 300 tokens each by the estimate."""
    return [make.hit((KEYS + f" {rank:03}" * letters)[:letters], rank=rank) for rank in range(1, count + 1)]


def test_usual_number_of_passages_is_read_within_a_small_budget(script: Script) -> None:
    """Of five long passages three fit, and the answer tells how many were read."""
    answer = ask(script, hits_of(5), show(32768), reply())
    assert sources_sent(script) == [3]
    assert options_sent(script)[0]["num_ctx"] == answer.usage.context_limit == 4096
    assert len(answer.hits) == 5
    assert answer.passages_read == 3
    assert answer.notices == ()


def test_without_passages_no_model_is_asked(script: Script) -> None:
    """An empty collection answers nothing, whatever the model may know."""
    answer = ask(script, [], show(4096), reply())
    assert (answer.answered, answer.hits, answer.citations) == (False, (), ())
    assert answer.notices == ("there is no passage to answer from",)
    assert script.asked == []


def test_passages_that_all_fit_need_no_notice(script: Script) -> None:
    """Nothing is left out, nothing is said."""
    answer = ask(script, hits_of(3), show(32768), reply())
    assert sources_sent(script) == [3]
    assert answer.notices == ()


def test_more_passages_get_more_context(script: Script) -> None:
    """Thirty passages that were asked for are all read: some 9,300 tokens, in a context with room for the answer."""
    answer = ask(script, hits_of(30), show(32768), reply())
    assert sources_sent(script) == [30]
    assert options_sent(script)[0]["num_ctx"] == answer.usage.context_limit == 16384
    assert answer.notices == ()


def test_more_passages_than_the_model_can_read(script: Script) -> None:
    """The model's own context is the end of it, and the notice says so."""
    answer = ask(script, hits_of(30), show(4096), reply())
    assert sources_sent(script) == [10]
    assert options_sent(script)[0]["num_ctx"] == 4096
    assert answer.notices == (
        "20 of 30 passages did not fit and were not used (11 to 30): the context of m holds 4096 tokens",
    )


def test_model_with_a_small_context(script: Script) -> None:
    """Prompt and answer are planned within it, and no more is asked for than it has."""
    answer = ask(script, hits_of(3), show(1024), reply())
    sent = options_sent(script)[0]
    assert (sent["num_ctx"], sent["num_predict"]) == (1024, 256)
    assert sources_sent(script) == [1]
    assert answer.notices == (
        "2 of 3 passages did not fit and were not used (2 to 3): the context of m holds 1024 tokens",
    )


@pytest.mark.parametrize("words", [TOO_LONG, "the request exceeds the available context size", "input length exceeds"])
def test_prompt_that_the_server_finds_too_long_gets_more_context_and_then_less_text(script: Script, words: str) -> None:
    """The estimate may be wrong: the context grows to what the model has before a passage is given up."""
    refused = as_json({"error": words}, status=400)
    answer = ask(script, hits_of(2), show(8192), refused, refused, reply())
    assert [sent["num_ctx"] for sent in options_sent(script)] == [4096, 8192, 8192]
    assert sources_sent(script) == [2, 2, 1]
    assert answer.usage.context_limit == 8192
    assert answer.notices == ("1 of 2 passages did not fit and were not used (2): the context of m holds 8192 tokens",)


def test_one_passage_that_cannot_be_read_is_an_error(script: Script) -> None:
    """When nothing can be left out any more the server's own error comes through."""
    with pytest.raises(BadRequest, match="longer than the context length"):
        ask(script, hits_of(1), show(4096), as_json({"error": TOO_LONG}, status=400))
    assert len(options_sent(script)) == 1


def test_error_in_mid_answer_keeps_what_was_said(script: Script) -> None:
    """What has been shown cannot be taken back: it is kept, checked, and the answer says that it is not whole."""
    begun = Answer(pieces=(lines({"message": {"content": KEYS}, "done": False}, {"error": "out of memory"}),))
    answer = ask(script, hits_of(2), show(32768), begun)
    assert (answer.text, answer.answered, answer.stopped) == (f"{KEYS[:-1]} [1].", True, "interrupted")
    assert answer.notices == ("the answer breaks off: out of memory",)
    assert len(options_sent(script)) == 1


def test_connection_that_dies_in_mid_answer(script: Script) -> None:
    """As an error of the server's own."""
    begun = Answer(pieces=(lines({"message": {"content": KEYS}, "done": False}),), cut=True)
    answer = ask(script, hits_of(2), show(32768), begun)
    assert (answer.text, answer.stopped) == (f"{KEYS[:-1]} [1].", "interrupted")


def test_error_before_anything_was_said_is_raised(script: Script) -> None:
    """There is nothing to keep."""
    begun = Answer(pieces=(lines({"message": {"content": ""}, "done": False}, {"error": "out of memory"}),))
    with pytest.raises(ServerError, match="out of memory"):
        ask(script, hits_of(2), show(32768), begun)


def test_prompt_that_the_server_cut_is_noticed(script: Script) -> None:
    """A server that reads far fewer tokens than the prompt can have did not read all of it."""
    hits = [make.hit(KEYS + f" Every word of passage {rank} is different." * 24, rank=rank) for rank in range(1, 4)]
    answer = ask(script, hits, show(32768), reply(read=100))
    assert "the server read 100 tokens of a prompt of about" in answer.notices[0]
    assert "4096 tokens that were asked for" in answer.notices[0]
    assert ask(script, hits, show(32768), reply(read=700)).notices == ()
    assert ask(script, hits, show(32768), reply(read=None)).notices == ()


def test_answer_that_breaks_off_is_noticed(script: Script) -> None:
    """The notice tells the limit of the answer from that of the context."""
    answer = ask(script, hits_of(1), show(32768), reply(read=400, wrote=400, reason="length"))
    assert answer.notices == ("the answer breaks off after 400 tokens: that is the most that was asked for",)
    answer = ask(script, hits_of(1), show(4096), reply(read=4000, wrote=96, reason="length"))
    assert answer.notices == ("the answer breaks off after 96 tokens: the context of m is full",)


def test_refusal_with_a_typographic_apostrophe_is_no_answer(script: Script) -> None:
    """Both apostrophes refuse."""
    answer = ask(script, hits_of(1), show(4096), reply("I don’t know."))
    assert (answer.answered, answer.citations) == (False, ())
    assert answer.text == "The documents that were found do not answer this question."


def test_answer_that_only_begins_as_a_refusal_is_kept(script: Script) -> None:
    """A cited answer is an answer."""
    text = "I don't know who does it, but signing keys are rotated every ninety days [1]."
    answer = ask(script, [make.hit(KEYS)], show(4096), reply(text))
    assert (answer.answered, answer.text) == (True, text)
    assert [citation.quote for citation in answer.citations] == [KEYS]


@pytest.mark.slow
def test_estimates_of_tokens_hold_for_a_real_model(models_folder: Path) -> None:
    """The tokens that a real server counts of a prompt of twelve passages lie between the two estimates."""
    hits = [make.hit(f"Rule {rank}: {KEYS} The engineer on call does it. " * 3, rank=rank) for rank in range(1, 13)]
    messages = messages_for(QUESTION, select_passages(hits, budget=10_000).passages)
    prompt = "".join(message["content"] for message in messages)
    with App(ModelStore(models_folder)) as app:
        with Client("http://embedded", timeout=120, transport=InProcessTransport(app)) as client:
            reply = client.chat(CHAT_MODEL, messages, options={"num_predict": 1, "num_ctx": 4096})
    assert prompt.count("</source ") == 12
    assert least_tokens(prompt) < (reply.prompt_eval_count or 0) < estimated_tokens(prompt)
