"""Refusals: whether a model's text says that it cannot answer, and nothing else; the Answer that there is none.

In: the text, the passages it was written from. Out: yes or no; an Answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.answer.citations import marks_of, resolve_citations, without_marks
from pipeline.types import Answer, Passage, Usage

REFUSAL_TEXT = "The documents that were found do not answer this question."

APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\u00b4`", "'''''")
REFUSED = re.compile(
    r"\W*(?:(?:(?:i'm |i am )?sorry|unfortunately)\W+(?:but )?)?"
    r"(?:i (?:don't|do not) know"
    r"|(?:the )?(?:given |provided )?(?:sources|documents|passages) (?:don't|do not) (?:contain|say|mention|answer))\b",
    re.IGNORECASE,
)
GOES_ON = re.compile(r"[.!?;:]\s+|\b(?:but|however|although|though)\b", re.IGNORECASE)
MOST_WORDS = 30


def is_refusal(text: str, passages: Sequence[Passage]) -> bool:
    """Whether the whole of `text` is a refusal: short, citing no passage, and saying nothing that a passage supports.

    "I don't know, but the old key stays valid for a week." is an answer where a passage says so.
    """
    said = " ".join(text.translate(APOSTROPHES).split())
    if not said:
        return True
    refused = REFUSED.match(said)
    if refused is None:
        return False
    rest = said[refused.end() :]
    if not re.search(r"\w", without_marks(rest)):
        return True
    if marks_of(rest, passages) or len(said.split()) > MOST_WORDS:
        return False
    _, *more = GOES_ON.split(rest, maxsplit=1)
    return not more or not resolve_citations(more[0], passages).citations


def unanswered(question: str, *, model: str, notices: tuple[str, ...] = ()) -> Answer:
    """The answer that there is none."""
    return Answer(
        question=question,
        text=REFUSAL_TEXT,
        answered=False,
        citations=(),
        hits=(),
        model=model,
        usage=Usage(),
        notices=notices,
    )
