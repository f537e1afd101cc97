"""Summaries part by part: scripted replies over a real socket; the passages of a condition from a real collection."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.answer import summarise
from pipeline.api import Client, RetryPolicy
from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.errors import ServerError, UsageError
from pipeline.query import passages_where
from pipeline.types import Answer as Answered
from pipeline.types import Hit
from tests import make
from tests.api.scripted_server import Answer, Script, as_json, lines, scripted_server
from tests.embed_server import Behaviour, embed_server

FACTS = [
    "The ferry leaves at ten from the northern pier.",
    "Honey is harvested by the keeper in July.",
    "The bell weighs as much as three oxen.",
]
SHOW = as_json({"model_info": {"llama.context_length": 8192}})


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def said(text: str, *, reason: str = "stop") -> Answer:
    last = {
        "message": {"content": ""},
        "done": True,
        "done_reason": reason,
        "prompt_eval_count": 1500,
        "eval_count": 10,
    }
    return Answer(pieces=(lines({"message": {"content": text}, "done": False}, last),))


def hits_of(*texts: str) -> list[Hit]:
    """Passages of some 1,700 tokens by the estimate: one is a part."""
    return [make.hit(f"{text} " + f"Word {rank} of many. " * 270, rank=rank) for rank, text in enumerate(texts, 1)]


def summary(script: Script, hits: list[Hit], *answers: Answer) -> tuple[Answered, list[tuple[int, int]]]:
    script.answers = [SHOW, *answers]
    parts: list[tuple[int, int]] = []
    with Client(script.url, retry=RetryPolicy.none(), timeout=60) as client:
        return summarise(client, "m", hits, on_part=lambda done, known: parts.append((done, known))), parts


def prompts(script: Script) -> list[str]:
    return [asked.body["messages"][1]["content"] for asked in script.asked if asked.path == "/api/chat"]


def test_parts_are_summarised_and_joined(script: Script) -> None:
    """Three parts, one request each, and one that joins what the passages support; sentences keep their numbers."""
    joined = f"{FACTS[0][:-1]} [1]. {FACTS[2][:-1]} [3]."
    replies = [said(f"{FACTS[0]} [1] Gold is found in it. [1]"), said(FACTS[1]), said(f"{FACTS[2]} [3]")]
    answer, parts = summary(script, hits_of(*FACTS), *replies, said(joined))
    assert (answer.answered, answer.text) == (True, joined)
    assert [citation.number for citation in answer.citations] == [1, 3]
    assert [sentence.support for sentence in answer.sentences] == ["supported", "supported"]
    assert parts == [(1, 3), (2, 3), (3, 3), (4, 4)]
    *read, last = prompts(script)
    assert [re.findall(r'<source number="(\d)"', prompt) for prompt in read] == [["1"], ["2"], ["3"]]
    assert "Honey is harvested by the keeper in July [2]." in last
    assert "Gold" not in last
    assert answer.notices == ("1 sentences of parts were dropped, as no passage supports them",)
    assert (answer.usage.prompt_tokens, answer.usage.answer_tokens) == (6000, 40)


def test_one_part_needs_no_joining(script: Script) -> None:
    """Its summary is the summary."""
    answer, parts = summary(script, [make.hit(FACTS[0])], said(f"{FACTS[0]} [1]"))
    assert (answer.text, parts) == (f"{FACTS[0]} [1]", [(1, 1)])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"{FACTS[0]} [1] The keeper of the", f"{FACTS[0]} [1]"),
        (f"- {FACTS[0]} [1]\n- Version 2.5 of the", f"{FACTS[0]} [1]"),
        ("The ferry leaves at ten from the northern", "The ferry leaves at ten from the northern [1]"),
    ],
)
def test_summary_that_was_cut_ends_with_a_sentence(script: Script, text: str, kept: str) -> None:
    """What the model had begun when its room was used up is left out, unless there is nothing else."""
    answer, _ = summary(script, [make.hit(FACTS[0])], said(text, reason="length"))
    assert answer.text == kept


def test_model_that_dies_in_between_leaves_what_is_done(script: Script) -> None:
    """The summaries of the parts so far, and why there are no more; before the first, the error itself."""
    answer, _ = summary(script, hits_of(*FACTS), said(FACTS[0]), as_json({"error": "out of memory"}, status=500))
    assert (answer.answered, answer.stopped) == (True, "interrupted")
    assert answer.text == f"{FACTS[0][:-1]} [1]."
    assert answer.notices[0].startswith("the summary is that of 1 of 3 parts: ")
    with pytest.raises(ServerError, match="out of memory"):
        summary(script, hits_of(*FACTS), as_json({"error": "out of memory"}, status=500))


def test_part_that_the_server_finds_too_long_is_halved(script: Script) -> None:
    """Nothing is left out for it."""
    refused = as_json({"error": "input length exceeds"}, status=400)
    hits = [make.hit(f"{fact} " + "z" * 500, rank=rank) for rank, fact in enumerate(FACTS, 1)]
    answer, _ = summary(script, hits, refused, *map(said, FACTS[:2]), said(" ".join(FACTS)))
    sources = [re.findall(r'<source number="(\d)"', prompt) for prompt in prompts(script)]
    assert sources[:3] == [["1", "2", "3"], ["1"], ["2", "3"]]
    assert answer.answered is True


def test_nothing_to_summarise(script: Script) -> None:
    """No request is made."""
    answer, _ = summary(script, [])
    assert (answer.answered, answer.text) == (False, "There is no passage to summarise.")
    assert script.asked == []


def test_passages_of_a_condition_come_in_reading_order(tmp_path: Path) -> None:
    """By path and place, all of them, and no more than can be read."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("b.md", "a.md", "c.txt"):
        (docs / name).write_text("\n\n".join(f"# Part {part}\n\nText of {name}." for part in range(3)))
    with embed_server(Behaviour()) as url:
        config = Config(home=tmp_path / "home", model="all-minilm", host=url)
        with Collection("notes", config) as notes:
            notes.index(docs)
            every = passages_where(notes.snapshot, None, most=100)
            found = passages_where(notes.snapshot, "path ~ '**/*.md'", most=100)
            with pytest.raises(UsageError, match="are more than the 1 that are read at once"):
                passages_where(notes.snapshot, None, most=1)
    assert [Path(hit.path).name for hit in every] == sorted(Path(hit.path).name for hit in every)
    assert {Path(hit.path).name for hit in found} == {"a.md", "b.md"}
    assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
    starts = [hit.start_line for hit in found if hit.path.endswith("a.md")]
    assert starts == sorted(starts)
