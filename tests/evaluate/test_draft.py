"""Golden questions drawn up from a collection: passages from all over, quotes that stand, a file to review."""

import json
from pathlib import Path

import pytest

import pipeline
from pipeline.config import Config
from pipeline.evaluate import draft_questions, question_line, read_golden
from pipeline.evaluate.draft import _parsed, _passages
from tests.conftest import CHAT_MODEL

TEXT = "The old lighthouse of Marholm was built in 1862 by the engineer Ada Brunn, and is forty metres high. " * 3


@pytest.fixture
def collection(tmp_path: Path, models_folder: Path) -> pipeline.Collection:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"Place {number}. {TEXT}\n\n" * 8)
    collection = pipeline.Collection("notes", Config(home=tmp_path / "home", host="embedded", models=models_folder))
    collection.index(folder)
    return collection


def test_passages_come_from_all_documents(collection: pipeline.Collection) -> None:
    """Each document gives one passage before any gives two."""
    with collection:
        found = list(_passages(collection.snapshot, most=6))
    assert sorted(Path(path).name for path, _ in found[:4]) == ["0.txt", "1.txt", "2.txt", "3.txt"]
    assert len(found) == len(set(found)) == 6


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ({"question": "When was the lighthouse built?", "quote": "built in 1862  by the engineer"}, ""),
        (
            {"question": "When was the lighthouse built?", "quote": "built in 1900"},
            "quotes what the passage does not say",
        ),
        ({"question": "Tell me of it.", "quote": "built in 1862"}, "is no question"),
        ({"question": "When was the lighthouse built?"}, "is not in the form asked for"),
        ([1], "is not in the form asked for"),
    ],
)
def test_drafts_are_checked_against_the_passage(reply: object, fault: str) -> None:
    """A quote must stand in the passage word for word, white space aside, and a question must be one."""
    assert _parsed(json.dumps(reply), TEXT)[2] == fault


@pytest.mark.slow
def test_drafts_of_a_real_model_resolve_or_are_told(collection: pipeline.Collection, tmp_path: Path) -> None:
    """Every question of a small chat model quotes its document; what it got wrong is dropped and told, not kept."""
    dropped: list[str] = []
    with collection:
        drafts = list(
            draft_questions(
                collection.snapshot,
                collection.connection.client,
                CHAT_MODEL,
                1,
                folder=tmp_path,
                on_rejected=lambda _, why: dropped.append(why),
            )
        )
    assert drafts or len(dropped) == 3
    path = tmp_path / "golden.jsonl"
    path.write_text("".join(question_line(draft) + "\n" for draft in drafts))
    for question in read_golden(path):
        assert question.path is not None
        assert question.quote is not None
        assert question.quote in " ".join((tmp_path / question.path).read_text().split())
