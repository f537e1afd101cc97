"""Who may ask, and how often: no other site, the token, a rate for each address. Host and Origin are the guard's."""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

from pipeline.web.failures import Forbidden, TooManyRequests, Unauthorized

REMEMBERED = 4096
"""Addresses whose rate is known; the one that was heard of longest ago is forgotten first."""


def require_own_page(headers: Mapping[str, str]) -> None:
    """Raises Forbidden where a browser says that another site's page asks.

    A picture or a link of such a page sends no Origin, and what it asks for may begin work.
    """
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Forbidden("a page of another site may not ask here", hint="open the address that `pipeline web` printed")


def require_token(token: str, headers: Mapping[str, str]) -> None:
    """Raises Unauthorized unless the request has the token, if there is one. Takes the same time for any wrong one."""
    if not token:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode("utf-8", "replace"))
    if scheme.lower() != "bearer" or not right:
        raise Unauthorized("the token is missing or wrong", hint="send it as: Authorization: Bearer TOKEN")


class Rate:
    """A bucket of requests for each address: `rate` a second flow in, up to `burst`."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> None:
        """Raises TooManyRequests where the bucket is empty."""
        now = time.monotonic()
        with self._lock:
            left, seen = self._buckets.pop(address, (float(self._burst), now))
            left = min(self._burst, left + (now - seen) * self._rate)
            self._buckets[address] = (max(0.0, left - 1), now)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        if left < 1:
            raise TooManyRequests(
                "too many requests", hint=f"no more than {self._rate:g} a second", headers={"retry-after": "1"}
            )
