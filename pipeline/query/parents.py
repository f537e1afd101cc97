"""Small passages are found, what they stand in is shown: the parent of a passage is its section, or its neighbourhood.

In: a row, how far a parent reaches. Out: the passages of the parent, in the order of the text.

A document's passages stand one after the other, and hold all of its text: so parents need not be stored, and one
collection can be shown in either way.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from pipeline.query.options import SECTION
from pipeline.query.scope import Scope

MOST_PASSAGES = 50
"""On either side of the one that was found."""

MOST_CHARACTERS = 8000
"""Some two thousand tokens: a section that is longer is shown as far as that around what was found in it."""


def parent_of(scope: Scope, row: int, reach: str, shown: Container[tuple[int, int]]) -> dict[int, dict[str, Any]]:
    """By row of the segment the passages that belong with `row`, itself included.

    `reach` is `SECTION` or how many passages on either side. What is `shown` already, by segment and row in it, is
    left out with what lies beyond it.
    """
    segment, number = scope.place(row)
    most = MOST_PASSAGES if reach == SECTION else int(reach)
    live = scope.segments[segment].live_mask
    rows = range(max(0, number - most), min(len(live), number + most + 1))
    passages = dict(zip(rows, scope.segments[segment].passages(rows), strict=True))
    centre = passages[number]

    def reached(numbers: Sequence[int]) -> Iterator[int]:
        for at in numbers:
            same = passages[at]["document_id"] == centre["document_id"] and live[at] and (segment, at) not in shown
            if not same or (reach == SECTION and passages[at]["heading_path"] != centre["heading_path"]):
                return
            yield at

    found = {number: centre}
    size = len(centre["text"])
    sides = [reached(range(number + 1, rows.stop)), reached(range(number - 1, rows.start - 1, -1))]
    while sides:
        side = sides.pop(0)
        at = next(side, None)
        if at is None or size + len(passages[at]["text"]) > MOST_CHARACTERS:
            continue
        found[at] = passages[at]
        size += len(passages[at]["text"])
        sides.append(side)
    return found
