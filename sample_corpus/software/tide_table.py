"""Tide tables for the harbours of the network, from harmonic constants.

Heights are metres above chart datum, times are UTC. The constants of each harbour come from at least 369 days of sea level
measurements, because a shorter series cannot separate the constituents K2 and S2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from math import cos, radians

EPOCH = datetime(2000, 1, 1, 12, tzinfo=timezone.utc)

# Speeds of the constituents in degrees an hour.
SPEEDS = {"M2": 28.9841042, "S2": 30.0, "N2": 28.4397295, "K1": 15.0410686, "O1": 13.9430356}


@dataclass(frozen=True)
class Harbour:
    """A harbour: mean level above chart datum, and (amplitude in metres, phase in degrees) of each constituent."""

    name: str
    mean_level: float
    constants: dict[str, tuple[float, float]]
    correction_minutes: int = 0


SKERRA = Harbour(
    name="Skerra",
    mean_level=2.31,
    constants={"M2": (1.42, 211.0), "S2": (0.51, 248.0), "N2": (0.28, 189.0), "K1": (0.11, 162.0), "O1": (0.09, 21.0)},
)

# Longa has no gauge of its own: the table of Skerra is moved by 25 minutes, which boat crews have found to fit.
LONGA = Harbour(name="Longa", mean_level=2.18, constants=SKERRA.constants, correction_minutes=25)


class NoGauge(LookupError):
    """A harbour has neither constants nor a neighbour to borrow them from."""


def height(harbour: Harbour, when: datetime) -> float:
    """Return the predicted height of the water in metres.

    The nodal correction is left out: its error is at most 9 cm at Skerra, less than what the wind does on most days.
    """
    hours = (when - EPOCH - timedelta(minutes=harbour.correction_minutes)).total_seconds() / 3600
    waves = (
        amplitude * cos(radians(SPEEDS[name] * hours - phase)) for name, (amplitude, phase) in harbour.constants.items()
    )
    return harbour.mean_level + sum(waves)


def turning_points(harbour: Harbour, day: datetime) -> Iterator[tuple[datetime, float, str]]:
    """Yield time, height and kind ("high" or "low") of each turn of the tide on a day, to the minute.

    Raises:
        NoGauge: the harbour has no constants.
    """
    if not harbour.constants:
        raise NoGauge(f"{harbour.name} has no harmonic constants: borrow those of a neighbour with a correction")
    minute = timedelta(minutes=1)
    before, here = height(harbour, day - minute), height(harbour, day)
    for number in range(24 * 60):
        when = day + number * minute
        after = height(harbour, when + minute)
        if before < here >= after:
            yield when, here, "high"
        elif before > here <= after:
            yield when, here, "low"
        before, here = here, after


def landing_hours(harbour: Harbour, day: datetime, draught: float) -> list[tuple[datetime, datetime]]:
    """Return the spans of a day in which a boat of that draught can lie at the pier.

    The boat needs half a metre of water under the keel; at Fulmar Stack the skipper adds another half metre for swell.
    """
    needed = draught + 0.5
    spans: list[tuple[datetime, datetime]] = []
    start: datetime | None = None
    for number in range(24 * 60):
        when = day + timedelta(minutes=number)
        enough = height(harbour, when) >= needed
        if enough and start is None:
            start = when
        elif not enough and start is not None:
            spans.append((start, when))
            start = None
    if start is not None:
        spans.append((start, day + timedelta(days=1)))
    return spans
