"""What is tried again and after how long. Pure: an error and a policy in, a delay or None out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from pipeline.errors import ApiError, ServerTimeout, ServerUnreachable, StatusError

RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter: a random time up to min(max_delay, base_delay * 2^(n-1)) after attempt n.

    The formula is "full jitter" of Marc Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    `attempts` counts the first one; nothing is tried again later than `total_seconds` after the first attempt. A
    server's `Retry-After` is obeyed where it fits into the total. With `pull_missing`, a model that the server lacks is
    pulled once and the call made again. A streamed reply is never asked for again once a piece of it has come.
    """

    attempts: int = 5
    base_delay: float = 0.5
    max_delay: float = 15.0
    total_seconds: float = 120.0
    pull_missing: bool = False

    @classmethod
    def none(cls) -> Self:
        """Each call is made once."""
        return cls(attempts=1)

    def delay(
        self, error: ApiError, *, attempt: int, elapsed: float, jitter: Callable[[], float] = random.random
    ) -> float | None:
        """Seconds to wait before the attempt after `attempt` (from 1), or None to give up.

        `elapsed` is the time in seconds since the first attempt; `jitter` gives numbers in [0, 1).
        """
        if attempt >= self.attempts or not retriable(error):
            return None
        wait = jitter() * min(self.max_delay, self.base_delay * 2 ** (attempt - 1))
        if isinstance(error, StatusError) and error.retry_after is not None:
            wait = error.retry_after
        return wait if elapsed + wait <= self.total_seconds else None


def retriable(error: ApiError) -> bool:
    """Whether the same call may succeed later: busy or failing servers, broken connections, time-outs."""
    if isinstance(error, StatusError):
        return error.status in RETRIED_STATUSES
    return isinstance(error, ServerUnreachable | ServerTimeout)
