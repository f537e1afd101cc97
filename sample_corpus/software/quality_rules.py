"""Quality control of measurements: rules that mark values and never remove one.

A rule looks at one station's day of one quantity and returns a mark for each value. The marks are ordered: `GOOD`,
`SUSPECT`, `BAD`. A value gets the worst mark of all rules, together with the names of the rules that gave it.

The limits come from ten years of measurements on Skerra and were last revised by Priya Raman in April 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import isnan


class Mark(IntEnum):
    """How far a value is to be trusted; larger is worse."""

    GOOD = 0
    SUSPECT = 1
    BAD = 2


@dataclass(frozen=True)
class Limits:
    """Bounds of a quantity: outside `possible` a value is bad, outside `usual` it is suspect."""

    possible: tuple[float, float]
    usual: tuple[float, float]
    largest_step: float
    flat_minutes: int


LIMITS = {
    "air temperature": Limits(possible=(-30.0, 40.0), usual=(-12.0, 28.0), largest_step=3.0, flat_minutes=180),
    "pressure": Limits(possible=(920.0, 1065.0), usual=(955.0, 1045.0), largest_step=1.5, flat_minutes=240),
    "wind speed": Limits(possible=(0.0, 75.0), usual=(0.0, 38.0), largest_step=20.0, flat_minutes=60),
    "sea level": Limits(possible=(-1.5, 9.0), usual=(-0.6, 6.4), largest_step=0.4, flat_minutes=45),
    "water temperature": Limits(possible=(-2.1, 25.0), usual=(2.0, 18.0), largest_step=0.8, flat_minutes=720),
}

Rule = Callable[[Sequence[float], Limits], list[Mark]]


def range_rule(values: Sequence[float], limits: Limits) -> list[Mark]:
    """Mark what lies outside the possible or the usual range.

    Sea water cannot be colder than about -2.1 degrees Celsius without freezing, which is where that bound comes from.
    """
    marks = []
    for value in values:
        if isnan(value):
            marks.append(Mark.GOOD)
        elif not limits.possible[0] <= value <= limits.possible[1]:
            marks.append(Mark.BAD)
        elif not limits.usual[0] <= value <= limits.usual[1]:
            marks.append(Mark.SUSPECT)
        else:
            marks.append(Mark.GOOD)
    return marks


def step_rule(values: Sequence[float], limits: Limits) -> list[Mark]:
    """Mark a value that jumps by more than the largest step within a minute, unless it stays there.

    A single spike is suspect. A jump after which the new level holds for ten minutes is weather, not a fault: squall
    lines drop the temperature by five degrees in two minutes.
    """
    marks = [Mark.GOOD] * len(values)
    for place in range(1, len(values)):
        if abs(values[place] - values[place - 1]) <= limits.largest_step:
            continue
        after = values[place : place + 10]
        if max(after) - min(after) > limits.largest_step:
            marks[place] = Mark.SUSPECT
    return marks


def flat_rule(values: Sequence[float], limits: Limits) -> list[Mark]:
    """Mark a run of equal values that is longer than nature allows.

    A frozen anemometer reports exactly zero for hours. Real calm flickers by a tenth of a metre a second.
    """
    marks = [Mark.GOOD] * len(values)
    start = 0
    for place in range(1, len(values) + 1):
        if place < len(values) and values[place] == values[start]:
            continue
        if place - start >= limits.flat_minutes:
            marks[start:place] = [Mark.SUSPECT] * (place - start)
        start = place
    return marks


RULES: dict[str, Rule] = {"range": range_rule, "step": step_rule, "flat": flat_rule}


def check(quantity: str, values: Sequence[float]) -> list[tuple[Mark, tuple[str, ...]]]:
    """Return for each value its worst mark and the rules that gave it.

    Raises:
        KeyError: the quantity has no limits; add a line to `LIMITS` after asking the data quality team.
    """
    limits = LIMITS[quantity]
    found = {name: rule(values, limits) for name, rule in RULES.items()}
    result = []
    for place in range(len(values)):
        worst = max(marks[place] for marks in found.values())
        reasons = tuple(name for name, marks in found.items() if worst and marks[place] == worst)
        result.append((worst, reasons))
    return result
