"""Durations and times as they stand on the wire: `5m`, `1h30m`, RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")

LONGEST = (2**63 - 1) / 1e9
"""Seconds in the longest duration of the real server, which counts nanoseconds in 64 bits: some 292 years."""


class InvalidDuration(ValueError):
    """The text says why, in the words of the real server."""


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `300ms`, `-1.5h` or `2h45m`; a bare `0` needs no unit.

    Raises InvalidDuration, also for what is longer than LONGEST.
    """
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0.0
    if not rest:
        raise InvalidDuration(f'time: invalid duration "{text}"')
    total, position = 0.0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None:
            raise InvalidDuration(f'time: invalid duration "{text}"')
        number, unit = part.groups()
        if not unit:
            raise InvalidDuration(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise InvalidDuration(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS[unit]
        position = part.end()
    if total > LONGEST:
        raise InvalidDuration(f'time: invalid duration "{text}"')
    return sign * total


def nanoseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e9))


def moment_text(moment: datetime) -> str:
    """RFC 3339, as the real server writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def now_text() -> str:
    return moment_text(datetime.now(UTC))


def expiry_text(seconds_from_now: float) -> str:
    """The moment a model is unloaded; never is nearly three centuries ahead, as in the real server."""
    return moment_text(datetime.now().astimezone() + timedelta(seconds=min(seconds_from_now, LONGEST)))
