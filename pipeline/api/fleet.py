"""Which of several servers is asked next. Pure state under a lock: no I/O.

In: what is asked and how earlier requests went. Out: the number of a host. Requests that any host may answer go to the
one with the fewest in flight; the others to the first that is well. A host that failed rests, longer each time.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field

REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 60.0


@dataclass(slots=True)
class _Host:
    in_flight: int = 0
    failures: int = 0
    well_at: float = 0.0
    refused: set[str] = field(default_factory=set[str])


class Fleet:
    """`per_host` limits the spread requests in flight on each host; None: no limit."""

    def __init__(self, hosts: int, *, per_host: int | None = None) -> None:
        self._hosts = [_Host() for _ in range(hosts)]
        self._per_host = per_host
        self._lock = threading.Lock()

    def acquire(self, *, spread: bool, model: str | None, tried: Collection[int], now: float) -> int | None:
        """The host to ask, counted as busy until `release`; None while all that may be asked have enough to do.

        Hosts in `tried`, and those that rest, come last: a well one that is busy is waited for. A host that was refused
        for `model` is never chosen, unless all were.
        """
        with self._lock:
            numbers = [number for number, host in enumerate(self._hosts) if model not in host.refused]
            numbers = numbers or list(range(len(self._hosts)))
            numbers.sort(key=lambda number: self._rank(number, spread=spread, tried=tried, now=now))
            best = self._hosts[numbers[0]]
            if spread and self._per_host is not None and best.in_flight >= self._per_host:
                return None
            best.in_flight += 1
            return numbers[0]

    def release(self, number: int, *, failed: bool, now: float) -> None:
        """The request to a host has ended; `failed` says that the host, not the request, was to blame."""
        with self._lock:
            host = self._hosts[number]
            host.in_flight -= 1
            if failed:
                host.failures += 1
                host.well_at = now + min(LONGEST_REST_SECONDS, REST_SECONDS * 2 ** min(host.failures - 1, 10))
            else:
                host.failures = 0
                host.well_at = 0.0

    def refuse(self, number: int, model: str) -> None:
        """Requests for `model` no longer go to this host."""
        with self._lock:
            self._hosts[number].refused.add(model)

    def another_is_well(self, *, tried: Collection[int], model: str | None, now: float) -> bool:
        """Whether a host that was not tried yet may answer at once."""
        with self._lock:
            return any(
                number not in tried and host.well_at <= now and model not in host.refused
                for number, host in enumerate(self._hosts)
            )

    def _rank(self, number: int, *, spread: bool, tried: Collection[int], now: float) -> tuple[int, ...]:
        host = self._hosts[number]
        return number in tried, host.well_at > now, host.in_flight if spread else 0, number
