"""Where a text may be cut, best places first. In: a text, a range. Out: an offset."""

from __future__ import annotations

import re
import unicodedata

SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s|(?<=[。！？])")
PARAGRAPH = re.compile(r"\n[ \t]*\n")
LINE = re.compile(r"\n")
SPACE = re.compile(r"\s")

Breaks = tuple[re.Pattern[str], ...]
PROSE: Breaks = (PARAGRAPH, SENTENCE, LINE, SPACE)
CODE: Breaks = (PARAGRAPH, LINE, SPACE)
SENTENCES: Breaks = (SENTENCE, PARAGRAPH, LINE, SPACE)
ANYWHERE: Breaks = ()

LEAST_FILL = 0.5
"""A better kind of break is taken only if it fills the chunk at least this far."""


def best_cut(text: str, start: int, limit: int, end: int, breaks: Breaks) -> int:
    """The last good place to cut in (start, min(limit, end)], else `limit`, or before it where it parts a character."""
    least = start + int((limit - start) * LEAST_FILL)
    for pattern in breaks:
        places = [match.end() for match in pattern.finditer(text, least, min(limit + 1, end))]
        places = [place for place in places if start < place <= limit]
        if places:
            return places[-1]
    cut = limit
    while start < cut < end and (
        unicodedata.combining(text[cut]) or text[cut] == "\u200d" or text[cut - 1] == "\u200d"
    ):
        cut -= 1
    return cut if cut > start else limit


def first_cut(text: str, start: int, end: int, breaks: Breaks) -> int:
    """The first good place in [start, end) to begin a text that was cut off before, else `start`."""
    for pattern in breaks:
        for match in pattern.finditer(text, start, end):
            if start < match.end() < end:
                return match.end()
    return start


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without the white space at its ends; start == end where there is nothing else."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
