"""Texts that repeat themselves, and texts that only look alike from line to line."""

import pytest

from pipeline.answer.repetition import repeats_from

SENTENCE = "The keys are rotated every ninety days, and the old key stays valid for a week. "


def test_repetition_is_found_with_the_fourth_copy() -> None:
    """One copy is kept; worked out by hand."""
    before = "First of all:\n"
    assert repeats_from(before + SENTENCE * 3) is None
    assert repeats_from(before + SENTENCE * 4) == len(before + SENTENCE)
    assert repeats_from(before + SENTENCE * 4 + SENTENCE[:30]) == len(before + SENTENCE)


def test_short_pieces_repeat_for_longer() -> None:
    """Four times "ha" is no loop, a hundred times is."""
    assert repeats_from("ha " * 30) is None
    assert repeats_from("So:\n" + "ha " * 100) == len("So:\nha ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "| --- " * 60,
        "-" * 500,
        "\n".join(f"- step {number}: rotate the key of machine {number}" for number in range(40)),
        " ".join(f"{number}" for number in range(1000, 1300)),
        "All work and no play. " * 3,
    ],
)
def test_what_only_looks_alike_goes_on(text: str) -> None:
    """Lists, rulers and counting are no loops."""
    assert repeats_from(text) is None
