"""Sentences against passages: worked examples, hand-written claims about the sample, and a real embedding model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.answer import marked_text
from pipeline.answer.checking import check_sentences, score_of
from pipeline.answer.refusal import unanswered
from pipeline.api import Client, RetryPolicy
from pipeline.embed import Embedder
from pipeline.server import App, InProcessTransport, ModelStore
from pipeline.types import Passage, Sentence
from tests import make
from tests.conftest import EMBEDDING_MODEL, ROOT
from tests.embed_server import Behaviour, embed_server

QUESTION = "How often are signing keys rotated?"
PASSAGES = make.passages(
    "# Keys\n\nSigning keys are rotated every ninety days. The old one stays valid for a week.",
    "Bread is baked at 230 degrees. It takes forty minutes.",
)


def checked(text: str, passages: list[Passage] = PASSAGES) -> list[tuple[str, int]]:
    return [(sentence.support, sentence.number) for sentence in check_sentences(text, QUESTION, passages)]


def test_score_is_the_mean_of_two_shares() -> None:
    """Worked by hand: of sign key rotat everi month the span has three; of what the question lacks, nothing."""
    span = "Signing keys are rotated at night."
    assert score_of("Signing keys are rotated every month.", QUESTION, span) == pytest.approx((3 / 5 + 0) / 2)
    assert score_of("Signing keys are rotated.", QUESTION, span) == 1.0
    assert score_of("Yes.", QUESTION, span) == 0.0


def test_sentence_has_the_span_that_supports_it() -> None:
    """With its passage, path and line; what is invented has the nearest span, and is not supported."""
    text = "Signing keys are rotated every ninety days [1]. They are kept in a golden box under the sea."
    first, second = check_sentences(text, QUESTION, PASSAGES)
    assert first == Sentence(
        text="Signing keys are rotated every ninety days [1].",
        support="supported",
        score=1.0,
        numbers=(1,),
        number=1,
        path="/a.md",
        start_line=3,
        end_line=3,
        quote="Signing keys are rotated every ninety days.",
    )
    assert (second.support, second.numbers) == ("unsupported", ())
    assert second.score < 0.3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bread takes forty minutes at 230 degrees [2].", [("supported", 2)]),
        ("Bread takes forty minutes at 250 degrees [2].", [("unsupported", 2)]),
        ("Bread takes forty minutes, says Ilse Vanter [2].", [("unsupported", 2)]),
        ("According to source 1, the old one stays valid for a week [1].", [("supported", 1)]),
        ("Yes.", []),
        ("- The old one stays valid for a week [1].\n- Bread is baked [2].", [("supported", 1), ("supported", 2)]),
        ("```\nbread.baked(degrees=230)\n```\n[2]", [("supported", 2)]),
        ("", []),
    ],
)
def test_numbers_and_names_that_were_not_read_are_not_supported(text: str, expected: list[tuple[str, int]]) -> None:
    """Other words may differ, these may not; lists and code are checked as well, "yes" has nothing to check."""
    assert checked(text) == expected


def test_second_sentence_may_refer_to_the_first() -> None:
    """Two sentences of a passage that follow each other support one that joins them."""
    found = check_sentences("Signing keys are rotated and the old one stays valid a week.", "What?", PASSAGES)
    assert found[0].support == "supported"
    assert found[0].quote == "Signing keys are rotated every ninety days. The old one stays valid for a week."


def test_claims_about_the_sample() -> None:
    """Of forty true statements in other words most are supported, of forty false ones next to none: by words alone."""
    kept = {"true": 0, "false": 0}
    golden = [json.loads(line) for line in (ROOT / "sample_corpus/golden.jsonl").read_text("utf-8").splitlines()]
    claims = [json.loads(line) for line in (Path(__file__).parent / "claims.jsonl").read_text("utf-8").splitlines()]
    assert [claim["question"] for claim in claims] == [each["question"] for each in golden if each["path"]]
    for claim, each in zip(claims, golden, strict=False):
        text = (ROOT / "sample_corpus" / each["path"]).read_text(encoding="utf-8")
        passages = make.passages(*text.split("\n\n"))
        for kind in kept:
            found = check_sentences(claim[kind], claim["question"], passages)
            kept[kind] += all(sentence.support == "supported" for sentence in found)
    assert kept["true"] >= 33
    assert kept["false"] <= 3


@pytest.fixture(scope="module")
def embedder(models_folder: Path) -> Iterator[Embedder]:
    with App(ModelStore(models_folder)) as app:
        with Client("http://embedded", timeout=60, transport=InProcessTransport(app)) as client:
            yield Embedder(lambda: client, EMBEDDING_MODEL)


def test_other_words_for_the_same_are_found_by_meaning(embedder: Embedder) -> None:
    """What shares too few words with its span is supported by its similarity; what means something else is not."""
    question = "What moved the clock so far off?"
    passages = make.passages("The crystal moved to the other side of the board, away from the heater.", "Ice is cold.")
    text = "The heater next to it warmed the crystal. A cold board is the reason that ice broke the heater."
    by_words = check_sentences(text, question, passages)
    assert [sentence.support for sentence in by_words] == ["unsupported", "unsupported"]
    found = check_sentences(text, question, passages, embedder=embedder)
    assert [sentence.support for sentence in found] == ["supported", "unsupported"]
    assert (found[0].similarity or 0) > 0.75 > (found[1].similarity or 0)


def test_embedding_that_fails_leaves_the_words() -> None:
    """A server that has no vector for a sentence does not cost the answer."""
    with embed_server(Behaviour(poison={"golden": "500"})) as url, Client(url, retry=RetryPolicy.none()) as client:
        found = check_sentences(
            "It is a golden box.", QUESTION, PASSAGES, embedder=Embedder(lambda: client, "all-minilm")
        )
    assert [(sentence.support, sentence.similarity) for sentence in found] == [("unsupported", None)]


def test_judge_has_the_last_word_but_for_what_was_not_read() -> None:
    """It can take support away and give it; a number that stands nowhere stays unsupported; silence changes nothing."""
    text = "Bread is baked at 230 degrees. It needs patience. It needs 77 stones."
    said = {True: ["supported", "supported", "unsupported"], False: ["unsupported"] * 3, None: ["supported"]}
    for answer, expected in said.items():
        found = check_sentences(text, QUESTION, PASSAGES, judge=lambda _, answer=answer: answer)
        assert [sentence.support for sentence in found][: len(expected)] == expected
        assert {sentence.judged for sentence in found} == {answer}


def test_unsupported_sentences_are_marked_in_the_text() -> None:
    """Each once, where it stands, though another sentence begins with the same words."""
    text = "Bread is baked. Gold is baked. Bread is baked."
    states = ("supported", "unsupported", "unsupported")
    parts = ("Bread is baked.", "Gold is baked.", "Bread is baked.")
    answer = unanswered("q", model="m")
    sentences = tuple(Sentence(text=part, support=state, score=0) for part, state in zip(parts, states, strict=True))
    answer = type(answer)(
        question="q",
        text=text,
        answered=True,
        citations=(),
        hits=(),
        model="m",
        usage=answer.usage,
        sentences=sentences,
    )
    assert marked_text(answer, "(!)") == "Bread is baked. Gold is baked. (!) Bread is baked. (!)"
