"""Names and numbers of an answer that stand neither in the passages nor in the question: a sign of invention. Pure.

In: the answer's text, the question, the passages that were read. Out: the terms, in the order of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.answer.citations import without_marks
from pipeline.types import Passage

TERM = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’-][^\W\d_]+)*")
NAMED_SOURCE = re.compile(r"\b(?:source|passage|document)s?(?: number)? \d+(?:(?:,| and|, and) \d+)*", re.IGNORECASE)
SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*(?:[-*]|\d+\.)?\s*)[\"'“(]*$")


def ungrounded_terms(text: str, question: str, passages: Sequence[Passage]) -> list[str]:
    """Numbers, and words with a capital letter that begin no sentence, which were not read anywhere."""
    read = " ".join([question, *(f"{passage.hit.heading} {passage.hit.text}" for passage in passages)])
    known = {term.casefold() for term in TERM.findall(read)}
    plain = NAMED_SOURCE.sub("", without_marks(text))
    found: dict[str, None] = {}
    for match in TERM.finditer(plain):
        term = match[0]
        if term.casefold() in known:
            continue
        if term[0].isdigit() or (term[0].isupper() and not SENTENCE_START.search(plain[: match.start()])):
            found[term] = None
    return list(found)
