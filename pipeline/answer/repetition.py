"""Models that say the same again and again: seen while they write. Pure.

In: the text so far. Out: where it began to repeat itself, or nothing.
"""

from __future__ import annotations

PROBE = 40
"""Characters at the end of the text that are looked for before it."""

LEAST_COPIES = 4
LEAST_LENGTH = 200
"""Characters that the copies take up together: lines under headings and rows of a table may look alike."""

LEAST_RULE = 600
"""The same where the copies hold neither letters nor digits: rulers of tables are long."""


def repeats_from(text: str) -> int | None:
    """The length of `text` up to which nothing repeats, where its end is LEAST_COPIES or more copies of one piece.

    One copy belongs to what is kept. None where there is no such end.
    """
    if len(text) < LEAST_LENGTH:
        return None
    end = text[-PROBE:]
    before = text.rfind(end, 0, len(text) - 1)
    if before < 0:
        return None
    period = len(text) - PROBE - before
    least = LEAST_LENGTH if any(map(str.isalnum, text[-period:])) else LEAST_RULE
    first = _first_of_period(text, period)
    length = len(text) - first
    return first + period if length >= max(LEAST_COPIES * period, least) else None


def _first_of_period(text: str, period: int) -> int:
    """The first position from which every character is the one that stands `period` before it, less `period`."""
    at = len(text)
    while at > period and text[at - 1] == text[at - 1 - period]:
        at -= 1
    return at - period
