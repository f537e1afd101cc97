"""Refusals: the whole answer is one, or it is none."""

import pytest

from pipeline.answer.refusal import is_refusal
from tests import make

SOURCES = make.passages(
    "Signing keys are rotated every ninety days.\nThe old key stays valid for a week.",
    "Backups are written to the vault at two in the morning.",
)


@pytest.mark.parametrize(
    "text",
    [
        "I don't know.",
        "I don’t know",
        "**I do not know!**",
        " ",
        "I don't know [1].",
        "I don’t know how often the signing keys are rotated.",
        "I'm sorry, but I don't know.",
        "Sorry, I don't know when backups are written. The sources do not say it.",
        "The sources don’t mention the moon.",
        "The provided documents do not contain this information.",
        "I don't know, but it could be the moon.",
        "I don't know [9].",
    ],
)
def test_refusals(text: str) -> None:
    """A short text that says no more than that it cannot answer, with either apostrophe, is no answer."""
    assert is_refusal(text, SOURCES) is True


@pytest.mark.parametrize(
    "text",
    [
        "I don't know, but the sources say that keys change every ninety days [1].",
        "I don’t know the exact hour, but signing keys are rotated every ninety days.",
        "I don't know. However, backups are written to the vault at two in the morning.",
        "The sources do not say how keys change, only that the old one stays valid for a week [1].",
        "I don't know who does it, " + "and there is much more to be said about that " * 4,
        "Nobody says: I don't know.",
        "Ninety days.",
    ],
)
def test_answers(text: str) -> None:
    """What cites a passage, says what a passage says, or goes on at length is an answer, however it begins."""
    assert is_refusal(text, SOURCES) is False
