"""Compound questions cut by rule, without a model: "How high is it, and who built it?". Pure.

In: a question. Out: its parts, each of which can be searched for; none for a question that is one. docs/search.md has
how often this is right.
"""

from __future__ import annotations

import re

ASKING = (
    r"(?:(?:at|by|for|from|in|of|on|since|to|until|with) )?(?:what|when|where|which|who|whom|whose|why|how)\b"
    r"|(?:is|are|was|were|do|does|did|has|have|had|can|could|may|must|should|will|would)\b"
)
"""How the second part of a compound question begins."""

BETWEEN = re.compile(
    rf"\?\s+(?:and\s+|also\s+)?(?=\w)|[,;]?\s+(?:and|or|as well as)\s+(?:also\s+)?(?={ASKING})", re.IGNORECASE
)
POINTER = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|these|those|there|ones?|same)\b"
    r"|\b(?:this|that)(?=\W*$| (?:is|was|be|do|does|did)\b)",
    re.IGNORECASE,
)
"""Words that point to another part, without which the part cannot be searched for."""

INSIDE_FROM = 5
"""Words before such a word from which it is taken to point to one of them."""

THINGS = re.compile(
    r"^(?P<head>.*\b(?:about|at|for|from|in|of|on|to|with)\s)(?P<first>(?:the|an?|my|our)\s[^,;?]+?)"
    r"\s+(?:and|or|as well as)\s+(?P<second>(?:the|an?|my|our)\s[^,;?]+?)\s*\?*\s*$",
    re.IGNORECASE,
)
"""Two things that the same is asked of: "the opening hours of the library and the museum"."""

LEAST_WORDS = 3
"""Words of a part; a shorter one, as in "and why?", belongs to the one before it."""


def split_question(question: str) -> tuple[str, ...]:
    """The parts of a question, in order; empty for one that is not compound, or whose parts need each other."""
    text = " ".join(question.split())
    parts = _long_enough(text)
    if len(parts) > 1:
        return tuple(f"{part}?" for part in parts) if not any(map(_points_back, parts[1:])) else ()
    if found := THINGS.match(text):
        head = found["head"]
        return (f"{head}{found['first']}?", f"{head}{found['second']}?")
    return ()


def _long_enough(text: str) -> list[str]:
    """The text between the cuts, the last question mark aside."""
    parts: list[str] = []
    start = 0
    for cut in BETWEEN.finditer(text):
        if len(text[start : cut.start()].split()) >= LEAST_WORDS <= len(_until_next(text, cut.end())):
            parts.append(text[start : cut.start()])
            start = cut.end()
    return [part.strip(" ,;?") for part in (*parts, text[start:])]


def _until_next(text: str, start: int) -> list[str]:
    following = BETWEEN.search(text, start)
    return text[start : following.start() if following else None].split()


def _points_back(part: str) -> bool:
    pointer = POINTER.search(part)
    return pointer is not None and len(part[: pointer.start()].split()) < INSIDE_FROM
