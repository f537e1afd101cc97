"""Whether passages can answer at all: by hand, and what follows from it for the requests that are made."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.answer import answer_with_model
from pipeline.answer.evidence import evidence_of
from pipeline.api import Client, RetryPolicy
from pipeline.embed import Embedder
from pipeline.types import Answer as Answered
from pipeline.types import Hit, Scores
from tests import make
from tests.api.scripted_server import Answer, Script, as_json, lines, scripted_server

QUESTION = "How often are signing keys rotated?"
TEXT = "Signing keys are rotated every ninety days."
SHOW = as_json({"model_info": {"llama.context_length": 4096}})
WRITTEN = Answer(
    pieces=(lines({"message": {"content": TEXT}, "done": False}, {"message": {"content": ""}, "done": True}),)
)


def hit(text: str, cosine: float | None) -> Hit:
    return replace(make.hit(text), scores=Scores(dense=cosine))


def test_probability_by_hand() -> None:
    """Of often sign key rotat the passage has two; the logistic function of the weighted sum."""
    passages = make.passages("Signing keys.")
    found = evidence_of(QUESTION, [hit("Signing keys.", 0.4)], passages, embedding_model="all-minilm:latest")
    assert found is not None
    assert (found.cosine, found.words) == (0.4, 0.5)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-(16.2 * 0.4 + 4.5 * 0.5 - 9.5))))


def test_nothing_is_known_without_figures() -> None:
    """Another model, hits that were found by words only, a question without words."""
    hits, passages = [hit(TEXT, 0.4)], make.passages(TEXT)
    assert evidence_of(QUESTION, hits, passages, embedding_model="bge-m3") is None
    assert evidence_of(QUESTION, [hit(TEXT, None)], passages, embedding_model="all-minilm") is None
    assert evidence_of("why?", hits, passages, embedding_model="all-minilm") is None


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def judgement(yes: float) -> Answer:
    """A reply of one token, with the probabilities of yes and no."""
    top = [{"token": word, "logprob": math.log(share)} for word, share in (("yes", yes), ("no", 1 - yes))]
    logprobs = [{**top[0], "top_logprobs": top}]
    return as_json({"message": {"content": "yes"}, "done": True, "logprobs": logprobs})


def ask(script: Script, cosine: float, *answers: Answer, text: str = TEXT) -> Answered:
    script.answers = list(answers)
    with Client(script.url, retry=RetryPolicy.none(), timeout=60) as client:
        return answer_with_model(
            client, "m", QUESTION, [hit(text, cosine)], embedder=Embedder(lambda: client, "all-minilm")
        )


def chats(script: Script) -> list[dict[str, Any]]:
    return [asked.body for asked in script.asked if asked.path == "/api/chat"]


def test_hopeless_question_is_refused_without_the_model(script: Script) -> None:
    """No request is made, and the notice has the figures."""
    answer = ask(script, 0.1, SHOW, WRITTEN, text="Bread is baked.")
    assert (answer.answered, len(answer.hits), answer.passages_read) == (False, 1, 1)
    assert answer.notices == (
        "the nearest passages have too little of the question (0% of the question's words, cosine 0.10); "
        "m was not asked",
    )
    assert chats(script) == []


def test_doubtful_question_is_judged_first(script: Script) -> None:
    """The model's no is a refusal, its yes an answer; both requests begin with the same prompt and context."""
    answer = ask(script, 0.45, SHOW, judgement(0.02), WRITTEN, text="Keys are here.")
    assert answer.answered is False
    assert answer.notices[0].endswith("and m finds no answer in them")
    assert len(chats(script)) == 1
    script.asked.clear()
    answer = ask(script, 0.38, SHOW, judgement(0.98), WRITTEN)
    assert answer.answered is True
    judged, asked = chats(script)
    assert judged["messages"][1]["content"].startswith(asked["messages"][1]["content"])
    assert judged["options"]["num_ctx"] == asked["options"]["num_ctx"]
    assert judged["options"]["num_predict"] == 1


def test_clear_question_costs_no_judgement(script: Script) -> None:
    """One request."""
    answer = ask(script, 0.7, SHOW, WRITTEN)
    assert (answer.answered, answer.text) == (True, f"{TEXT[:-1]} [1].")
    assert len(chats(script)) == 1
