"""Answers quoted from the passages, with a real embedding model and with a server that fails."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.answer import answer_extractively
from pipeline.api import Client, RetryPolicy
from pipeline.embed import Embedder
from pipeline.server import App, InProcessTransport, ModelStore
from tests import make
from tests.conftest import EMBEDDING_MODEL
from tests.embed_server import Behaviour, embed_server

HEX = "".join(hashlib.sha512(bytes([number])).hexdigest() for number in range(4))[:390]
"""390 digits: fewer letters than a quote may have, and more tokens than the model reads."""

KEYS = "Signing keys are rotated every ninety days. The old key stays valid for one week."
QUESTION = "How often are signing keys rotated?"


@pytest.fixture(scope="module")
def embedder(models_folder: Path) -> Iterator[Embedder]:
    with App(ModelStore(models_folder)) as app:
        with Client("http://embedded", timeout=60, transport=InProcessTransport(app)) as client:
            yield Embedder(lambda: client, EMBEDDING_MODEL)


def test_sentence_that_is_too_long_for_the_model_is_left_out(embedder: Embedder) -> None:
    """One long word in one passage does not keep the others from being quoted, and the notices tell of it."""
    hits = [make.hit(f"The digest is here.\n\n{HEX}\n\nIt is checked."), make.hit(KEYS, rank=2, path="/keys.md")]
    answer = answer_extractively(embedder, QUESTION, hits)
    assert answer.answered is True
    assert answer.text.startswith("“Signing keys are rotated every ninety days.” [2]")
    assert answer.citations[0].path == "/keys.md"
    assert answer.notices[1].startswith("1 of 5 sentences were left out, all-minilm cannot embed them")


def test_nothing_but_sentences_that_are_too_long(embedder: Embedder) -> None:
    """Where nothing is left to quote, that is said and is no error."""
    answer = answer_extractively(embedder, QUESTION, [make.hit(HEX)])
    assert answer.answered is False
    assert answer.citations == ()
    assert answer.notices[1].startswith("all sentences were left out, all-minilm cannot embed them")


def test_no_hits(embedder: Embedder) -> None:
    """Without passages there is no answer, and nothing to complain of."""
    answer = answer_extractively(embedder, QUESTION, [])
    assert (answer.answered, answer.hits, len(answer.notices)) == (False, (), 1)


def test_passages_that_are_not_looked_through_are_counted(embedder: Embedder) -> None:
    """Of five passages the three best are quoted from, and the notices say so; of six that were asked for, all."""
    others = [make.hit(f"Bread number {rank} is baked at 230 degrees.", rank=rank) for rank in range(1, 6)]
    few = answer_extractively(embedder, QUESTION, [*others[:4], make.hit(KEYS, rank=5)])
    assert few.answered is False
    assert few.notices[1] == "only the 3 best of 5 passages were looked through for a quote"
    many = answer_extractively(embedder, QUESTION, [*others, make.hit(KEYS, rank=6)])
    assert many.text.startswith("“Signing keys are rotated every ninety days.” [6]")
    assert len(many.notices) == 1


@pytest.mark.parametrize("fault", ["500", "400", "nan", "long"])
def test_sentence_that_a_server_fails_on_is_left_out(fault: str) -> None:
    """Whatever is wrong with one sentence, the vectors of the others stay theirs."""
    behaviour = Behaviour(poison={"poison": fault})
    retry = RetryPolicy.none()
    with embed_server(behaviour) as url, Client(url, retry=retry) as client:
        hits = [make.hit(f"A poison is here. {KEYS}")]
        answer = answer_extractively(
            Embedder(lambda: client, "all-minilm"), "The old key stays valid for one week.", hits
        )
    assert answer.text == "“The old key stays valid for one week.” [1]"
    assert answer.notices[1].startswith("1 of 3 sentences were left out")
