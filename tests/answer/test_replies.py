"""Chat models that loop, think aloud, say nothing or cannot chat: scripted replies over a real socket."""

from collections.abc import Iterator

import pytest

from pipeline.answer import answer_with_model
from pipeline.api import Client, RetryPolicy
from pipeline.errors import ModelNotFound, StatusError
from pipeline.types import Answer as Answered
from tests import make
from tests.api.scripted_server import Answer, Script, as_json, lines, scripted_server

QUESTION = "How often are signing keys rotated?"
KEYS = "Signing keys are rotated every ninety days."


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def show(*capabilities: str) -> Answer:
    return as_json({"model_info": {"llama.context_length": 8192}, "capabilities": ["completion", *capabilities]})


def said(*pieces: str, thinking: tuple[str, ...] = ()) -> Answer:
    parts = [{"message": {"content": "", "thinking": piece}, "done": False} for piece in thinking]
    parts += [{"message": {"content": piece}, "done": False} for piece in pieces]
    return Answer(pieces=(*map(lines, parts), lines({"message": {"content": ""}, "done": True, "eval_count": 5})))


def ask(script: Script, *answers: Answer, think: bool = False) -> tuple[Answered, str]:
    """The answer, and what was shown while it came."""
    script.answers = list(answers)
    shown: list[str] = []
    with Client(script.url, retry=RetryPolicy.none(), timeout=60) as client:
        answer = answer_with_model(client, "m", QUESTION, [make.hit(KEYS)], on_text=shown.append, think=think)
    return answer, "".join(shown)


def test_loop_is_stopped_and_what_stood_before_it_is_kept(script: Script) -> None:
    """One copy stays; the model is not heard to its end."""
    endless = said(f"{KEYS} [1]\n", *["And so they are, and so they will be for ever. "] * 500)
    answer, shown = ask(script, show(), endless)
    assert answer.stopped == "repetition"
    assert "m began to repeat itself and was stopped" in answer.notices
    assert answer.text.startswith(f"{KEYS} [1]")
    assert answer.text.count("and so they will be") == 1
    assert shown.count("and so they will be") < 10
    assert [sentence.support for sentence in answer.sentences] == ["supported", "unsupported"]


@pytest.mark.parametrize(
    "reply",
    [
        said(KEYS, thinking=("Let me ", "see.")),
        said("<think>Let me see.</think>\n\n", KEYS),
        said("<th", "ink>Let me", " see.</thi", "nk>", KEYS),
    ],
    ids=["field", "tags", "tags in pieces"],
)
def test_reasoning_is_kept_apart(script: Script, reply: Answer) -> None:
    """Whether the server tells it from the answer or the model writes it in tags."""
    answer, shown = ask(script, show("thinking"), reply)
    assert (answer.text, answer.thinking, shown.strip()) == (f"{KEYS[:-1]} [1].", "Let me see.", KEYS)


@pytest.mark.parametrize(("think", "tokens"), [(False, 400), (True, 2448)])
def test_model_that_can_think_is_told_whether_to(script: Script, think: bool, tokens: int) -> None:
    """Not unless it is wanted, and then with room for it; another model is told nothing."""
    ask(script, show("thinking"), said(KEYS), think=think)
    assert script.asked[-1].body["think"] is think
    assert script.asked[-1].body["options"]["num_predict"] == tokens
    ask(script, show(), said(KEYS), think=think)
    assert "think" not in script.asked[-1].body


@pytest.mark.parametrize("reply", [said(), said(" \n"), said(thinking=("Hm.",))], ids=["nothing", "blank", "thought"])
def test_model_that_says_nothing(script: Script, reply: Answer) -> None:
    """Is no refusal: the notice says what happened."""
    answer, _ = ask(script, show(), reply)
    assert (answer.answered, answer.notices) == (False, ("m wrote no answer",))


def test_answer_that_nothing_supports_is_kept_apart(script: Script) -> None:
    """It is no answer, and what was written can be read all the same."""
    answer, shown = ask(script, show(), said("They are kept in a golden box."))
    assert (answer.answered, answer.draft, shown) == (False, "They are kept in a golden box.", answer.draft)
    assert answer.notices == ("no passage supports what m wrote, so it was left out",)


def test_sentence_that_nothing_supports_is_named(script: Script) -> None:
    """Beside one that is supported."""
    answer, _ = ask(script, show(), said(f"{KEYS} They are kept in a golden box."))
    assert answer.answered is True
    assert answer.notices == ("no passage supports 1 of 2 sentences; do not rely on them",)


def test_missing_model_and_model_that_cannot_chat(script: Script) -> None:
    """The server's own errors, before anything is shown."""
    with pytest.raises(ModelNotFound, match="m"):
        ask(script, as_json({"error": "model 'm' not found"}, status=404))
    with pytest.raises(StatusError, match="does not support chat"):
        ask(script, show(), as_json({"error": '"m" does not support chat'}, status=400))
