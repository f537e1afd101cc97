"""Follow-up questions: which stand alone, what is taken of a model's rewriting, how much history is read."""

import json
from pathlib import Path

import pytest

from pipeline.answer.passages import estimated_tokens
from pipeline.answer.rewrite import HISTORY_TOKENS, parsed, stands_alone, trimmed
from pipeline.evaluate import read_golden

FOLLOW_UPS = [
    json.loads(line) for line in (Path(__file__).parent / "follow_ups.jsonl").read_text(encoding="utf-8").splitlines()
]
GOLDEN = Path(__file__).parents[2] / "sample_corpus" / "golden.jsonl"
KEYS = [("How often are the encryption keys of the archive rotated?", "Every 90 days.")]


def test_golden_questions_stand_alone() -> None:
    """None of the 48 is taken for a follow-up, though some have pronouns."""
    assert [each.question for each in read_golden(GOLDEN) if not stands_alone(each.question)] == []


def test_follow_ups_are_recognised() -> None:
    """Of 38 questions of conversations all are told right but two, of which each names enough to be searched for."""
    wrong = [each["question"] for each in FOLLOW_UPS if stands_alone(each["question"]) != each["stands_alone"]]
    assert wrong == ["Who writes the summary after it?", "How many words had the Queen's greeting over it?"]


@pytest.mark.parametrize(
    ("question", "alone"),
    [
        ("Since when?", False),
        ("Which of them is the oldest?", False),
        ("How thick is it at Hallan Point?", False),
        ("Where does that come from?", False),
        ("Warum?", False),
        ("Und im Winter?", False),
        ("Y quién lo construyó?", False),
        ("Android phones: which are allowed?", True),
        ("Is there a limit to the size of a parcel, and what happens above it?", True),
        ("How does a telescope gather the light of a star and focus it?", True),
        ("Wie lange dauert das Mälzen von Gerste?", True),
    ],
)
def test_questions_that_stand_alone(question: str, alone: bool) -> None:
    """Continuations, pronouns without anything to point to, and questions about nothing do not."""
    assert stands_alone(question) is alone


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ('{"question": "Who rotates the encryption keys of the archive?"}', True),
        ('{"question": "Who does it?"}', False),
        ('{"question": "And who rotates them?"}', False),
        ('{"question": "Who was the first emperor of ancient Rome?"}', False),
        ('{"question": ""}', False),
        ('{"question": 3}', False),
        ('{"answer": "Every 90 days."}', False),
        ("[]", False),
        ("Who rotates the keys?", False),
        (json.dumps({"question": "encryption keys " * 40}), False),
    ],
)
def test_a_rewriting_must_come_from_the_conversation(content: str, taken: bool) -> None:
    """What invents words, says nothing, runs on or is not in the form asked for is not taken."""
    assert (parsed(content, "And who rotates them?", KEYS) is not None) is taken


def test_a_rewriting_must_keep_what_is_asked() -> None:
    """The question before, given again, is not the question."""
    assert parsed(json.dumps({"question": KEYS[0][0]}), "What about the station tokens?", KEYS) is None


def test_history_is_read_from_its_end_as_far_as_it_fits() -> None:
    """The last turns, in their order, within the budget; the last one always."""
    history = [(f"Question {number}?", "word " * 100) for number in range(20)]
    kept = trimmed(history, budget=HISTORY_TOKENS)
    assert kept == history[-len(kept) :]
    sizes = [estimated_tokens(f"Question: {asked}\nAnswer: {said.strip()}") for asked, said in kept]
    assert HISTORY_TOKENS - 200 < sum(sizes) <= HISTORY_TOKENS
    assert trimmed([("q", "word " * 9000)], budget=10) == [("q", "word " * 9000)]
