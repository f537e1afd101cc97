"""Periods, speeds and heights of circular and elliptical orbits.

Everything follows from Kepler's third law in Newton's form::

    T = 2 * pi * sqrt(a**3 / mu)

where *a* is the semi-major axis and *mu* the gravitational parameter of the
central body.  Lengths are kilometres, times are seconds.

Run the module to print a table, or give a body and an altitude::

    python orbit_period.py earth 420
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Body:
    """A central body: its gravitational parameter, mean radius and day."""

    name: str
    mu: float  # km^3 / s^2
    radius: float  # km
    rotation: float  # sidereal rotation in seconds
    atmosphere: float  # km, no stable orbit below this altitude


BODIES = {
    "earth": Body("earth", 398600.4418, 6371.0, 86164.1, 160.0),
    "moon": Body("moon", 4902.8, 1737.4, 2360591.5, 15.0),
    "mars": Body("mars", 42828.4, 3389.5, 88642.7, 130.0),
    "jupiter": Body("jupiter", 126686534.0, 69911.0, 35730.0, 1000.0),
}


class DecayingOrbit(ValueError):
    """The lowest point of the orbit is inside the atmosphere or the terrain."""


def period(body: Body, perigee_altitude: float, apogee_altitude: float | None = None) -> float:
    """Return the orbital period in seconds.

    With one altitude the orbit is circular.  The two altitudes may be given
    in either order; the smaller is taken as the perigee.
    """
    if apogee_altitude is None:
        apogee_altitude = perigee_altitude
    low, high = sorted((perigee_altitude, apogee_altitude))
    if low < body.atmosphere:
        raise DecayingOrbit(f"{low:.0f} km is too low above {body.name}")
    semi_major = body.radius + (low + high) / 2
    return 2 * math.pi * math.sqrt(semi_major**3 / body.mu)


def altitude_for_period(body: Body, seconds: float) -> float:
    """Return the altitude of the circular orbit with the given period."""
    semi_major = (body.mu * (seconds / (2 * math.pi)) ** 2) ** (1 / 3)
    return semi_major - body.radius


def stationary_altitude(body: Body) -> float:
    """Altitude at which a satellite hangs above one spot of the equator."""
    return altitude_for_period(body, body.rotation)


def speed(body: Body, altitude: float, semi_major: float | None = None) -> float:
    """Speed in km/s at an altitude, from the vis-viva equation."""
    r = body.radius + altitude
    a = r if semi_major is None else semi_major
    return math.sqrt(body.mu * (2 / r - 1 / a))


def escape_speed(body: Body, altitude: float = 0.0) -> float:
    """Speed in km/s that is needed to leave the body for good."""
    return math.sqrt(2 * body.mu / (body.radius + altitude))


def hohmann_delta_v(body: Body, start: float, target: float) -> tuple[float, float]:
    """Return both burns of a Hohmann transfer between circular orbits.

    The first value is the burn at the start altitude, the second the burn
    on arrival.  Both are positive also when the target lies lower.
    """
    transfer = body.radius + (start + target) / 2
    first = abs(speed(body, start, transfer) - speed(body, start))
    second = abs(speed(body, target) - speed(body, target, transfer))
    return first, second


def clock(seconds: float) -> str:
    """Format a duration as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d} h {minutes:02d} min {rest:02d} s"


def main(arguments: list[str]) -> int:
    """Print one period, or a table of all bodies at 500 km and 2000 km."""
    if len(arguments) == 2:
        try:
            print(clock(period(BODIES[arguments[0]], float(arguments[1]))))
        except (KeyError, ValueError) as problem:
            print(f"cannot compute that: {problem}", file=sys.stderr)
            return 2
        return 0
    for body in BODIES.values():
        for altitude in (500.0, 2000.0):
            try:
                shown = clock(period(body, altitude))
            except DecayingOrbit:
                shown = "decays"
            print(f"{body.name:<8} {altitude:6.0f} km  {shown}")
        print(f"{body.name:<8} stationary at {stationary_altitude(body):.0f} km")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
