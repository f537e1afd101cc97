"""One blob on its way: a thread does the work, and everybody who wants the blob follows it.

In: the work. Out: lines of progress for each follower. When the last follower has gone, the work stops.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from pipeline.server.exchange import Cancellation

Line = dict[str, Any]

TICK_SECONDS = 0.06
"""The real server's."""

ENDING_SECONDS = 5.0

_running: dict[Hashable, Transfer] = {}
_lock = threading.Lock()


class Transfer(ABC):
    """`stop` is set when nobody wants the blob any more; `total` is in bytes, 0 while it is not known."""

    def __init__(self, verb: str, digest: str) -> None:
        self.verb = verb
        self.digest = digest
        self.total = 0
        self.stop = Cancellation()
        self.followers = 0
        self._counting = threading.Lock()
        self._completed = 0
        self._done = threading.Event()
        self._stopped = threading.Event()
        self._error: Exception | None = None

    @abstractmethod
    def work(self) -> None:
        """Runs in a thread of its own, to its end or until `stop` is set."""

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"{self.verb}-{self.digest[7:19]}", daemon=True).start()

    def count(self, size: int) -> None:
        """So many bytes more have been transferred; a negative number takes some back."""
        with self._counting:
            self._completed += size

    def line(self) -> Line:
        return progress(self.verb, self.digest, self.total, self._completed)

    def pause(self, seconds: float) -> None:
        """Sleeps. Raises RequestCanceled at once when nobody wants the blob any more."""
        with self.stop.watch(self._stopped.set):
            self._stopped.wait(seconds)
        self.stop.check()

    def is_done(self, seconds: float) -> bool:
        """Whether the work ends within so many seconds."""
        return self._done.wait(seconds)

    def check(self) -> None:
        """Raises what the work failed with."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self.work()
        except Exception as error:  # noqa: BLE001  every follower raises it
            self._error = error
        finally:
            self._done.set()


def progress(verb: str, digest: str, total: int, completed: int) -> Line:
    """A line as the real server writes it: what is zero is left out."""
    numbers = {"total": total, "completed": completed}
    shown = {name: value for name, value in numbers.items() if value}
    return {"status": f"{verb} {digest[7:19]}", "digest": digest, **shown}


def follow(key: Hashable, make: Callable[[], Transfer], cancellation: Cancellation) -> Iterator[Line]:
    """Joins the transfer called `key`, which starts if it is not under way, and goes along with it to its end.

    Raises what the transfer failed with, RequestCanceled when this follower has gone.
    """
    transfer = _join(key, make)
    try:
        done = False
        while not done:
            done = transfer.is_done(TICK_SECONDS)
            cancellation.check()
            yield transfer.line()
    finally:
        _leave(key, transfer)
    transfer.check()


def _join(key: Hashable, make: Callable[[], Transfer]) -> Transfer:
    with _lock:
        transfer = _running.get(key)
        if transfer is None or transfer.is_done(0):
            transfer = _running[key] = make()
            transfer.start()
        transfer.followers += 1
        return transfer


def _leave(key: Hashable, transfer: Transfer) -> None:
    with _lock:
        transfer.followers -= 1
        last = not transfer.followers
        if last and _running.get(key) is transfer:
            del _running[key]
    if last:
        transfer.stop.set()
        # A server that ends gives the work the time to write down how far it came.
        transfer.is_done(ENDING_SECONDS)
