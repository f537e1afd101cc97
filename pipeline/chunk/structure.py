"""Chunking by structure: blocks are packed under their headings up to the budget, and split only where they must be.

In: a document with its blocks, its budget. Out: spans. The packing serves other strategies too that know their units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from pipeline.chunk.budget import Budget
from pipeline.chunk.cuts import CODE, PROSE, stripped
from pipeline.chunk.spans import Path, Span, shared_path, with_paths
from pipeline.types import Document

MERGE_BELOW = 0.4
"""Sections smaller than this part of the room are packed together with the next one of the same parent."""

KEPT_IN_LINES = ("code", "table")
"""Kinds of block that are cut between lines: rows stay whole, statements mostly."""


class Unit(NamedTuple):
    """A span of text that is kept whole, with the headings it stands under.

    `opens`: a chunk had better begin here than go on. `leads`: it says what comes next, and stays with that.
    """

    start: int
    end: int
    tokens: int
    path: Path
    opens: bool = False
    leads: bool = False


def structure_spans(document: Document, budget: Budget) -> Iterator[Span]:
    """Blocks that follow each other, packed; a block beyond the room in parts."""
    return packed(_units(document, budget), budget)


def _units(document: Document, budget: Budget) -> Iterator[Unit]:
    led_by, led_from = 0, 0
    for block, path in with_paths(document):
        heading = block.kind == "heading"
        start, end = stripped(document.text, block.start, block.end)
        first_room = budget.room(path, led_from if led_by else start)
        taken = led_by if 2 * led_by < first_room else 0
        whole = budget.tokens(start, end)
        if whole <= first_room - taken:
            # As nearly all do: it is one part, and asking for the parts would count it again.
            parts: Iterable[tuple[int, int]] = ((start, end),) if start < end else ()
        else:
            breaks = CODE if block.kind in KEPT_IN_LINES else PROSE
            room_at = partial(_room_at, budget, path, start, first_room - taken)
            parts = budget.parts(start, end, room_at, breaks, evenly=block.kind not in KEPT_IN_LINES)
        for first, last in parts:
            tokens = whole if (first, last) == (start, end) else budget.tokens(first, last)
            led_from = led_from if led_by else first
            led_by = led_by + tokens if heading else 0
            yield Unit(first, last, tokens, path, opens=heading, leads=heading)


def _room_at(budget: Budget, path: Path, start: int, room: int, offset: int) -> int:
    """The room of a part that starts at `offset`: `room` for the first one, which begins at `start`."""
    return room if offset == start else budget.room(path, offset)


def packed(units: Iterable[Unit], budget: Budget) -> Iterator[Span]:
    """Runs of units that fit together; those that lead go with what follows them."""
    group = _Group(budget)
    for unit in units:
        if group.units and (not group.has_room_for(unit) or group.is_apart_from(unit)):
            leading = group.take_leading()
            yield group.span()
            group = _Group(budget, leading)
            if leading and not group.has_room_for(unit):
                yield group.span()
                group = _Group(budget)
        group.add(unit)
    if group.units:
        yield group.span()


class _Group:
    """Units that become one chunk, and the headings that they share."""

    def __init__(self, budget: Budget, units: Iterable[Unit] = ()) -> None:
        self._budget = budget
        self.units: list[Unit] = []
        self._tokens = 0
        self._path: Path = ()
        for unit in units:
            self.add(unit)

    def add(self, unit: Unit) -> None:
        self._path = self._path_with(unit)
        self._tokens += unit.tokens
        self.units.append(unit)

    def has_room_for(self, unit: Unit) -> bool:
        start = self.units[0].start if self.units else unit.start
        return self._tokens + unit.tokens <= self._budget.room(self._path_with(unit), start)

    def is_apart_from(self, unit: Unit) -> bool:
        """Whether a unit that opens a section begins a chunk, though there is room for it here."""
        last = self.units[-1]
        if not unit.opens or last.leads:
            return False
        parent = unit.path[:-1]
        large = self._tokens >= MERGE_BELOW * self._budget.room(self._path)
        return large or parent != last.path[: len(parent)]

    def take_leading(self) -> list[Unit]:
        """Takes out the units at the end that belong with what comes next, unless there are no others."""
        leading: list[Unit] = []
        while len(self.units) > 1 and self.units[-1].leads:
            leading.insert(0, self.units.pop())
        return leading

    def span(self) -> Span:
        path = self.units[0].path
        for unit in self.units[1:]:
            path = shared_path(path, unit.path)
        return Span(self.units[0].start, self.units[-1].end, path)

    def _path_with(self, unit: Unit) -> Path:
        return shared_path(self._path, unit.path) if self.units else unit.path
