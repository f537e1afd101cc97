"""When the courier sends a parcel again, and when it gives up.

A station has a card of 28 GB and a slow link. It must never lose an acknowledged hour, never flood ingest after an outage,
and never run its battery flat by trying. These three wishes make the schedule below.
"""

import random
from dataclasses import dataclass

FIRST_WAIT = 20.0
LONGEST_WAIT = 1800.0
LOW_BATTERY_FACTOR = 6
GIVE_UP_AFTER_DAYS = 45


@dataclass
class Attempt:
    """What is known of a parcel's earlier attempts: their number, the oldest in seconds ago, and the last status."""

    number: int
    age: float
    status: int | None


def wait_before_next(attempt: Attempt, battery_low: bool, retry_after: float | None = None) -> float | None:
    """Return the seconds to wait before the next try, or None if a person has to look at the parcel.

    The wait doubles from 20 seconds to half an hour. It is then drawn evenly between zero and that bound, so that the
    stations do not come back all in the same second. With a low battery every wait is six times as long.
    """
    if attempt.age > GIVE_UP_AFTER_DAYS * 86400:
        return None
    if attempt.status == 422 and attempt.number >= 3:
        return None
    bound = min(FIRST_WAIT * 2**attempt.number, LONGEST_WAIT)
    wait = random.uniform(0, bound)
    if retry_after is not None:
        wait = retry_after + random.uniform(0, retry_after)
    return wait * LOW_BATTERY_FACTOR if battery_low else wait


def order_of_sending(waiting: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    """Return parcels (start, storm) in the order to send them after an outage.

    The newest hour goes first, because warnings are made from it. Then come the hours in storm mode, oldest first, and
    then the rest, oldest first.
    """
    if not waiting:
        return []
    newest = max(waiting)
    rest = [parcel for parcel in waiting if parcel != newest]
    return [newest, *sorted(rest, key=lambda parcel: (not parcel[1], parcel[0]))]
