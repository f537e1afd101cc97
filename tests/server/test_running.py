"""Requests that are under way: all are broken off at the end, and those that come later at once."""

import gc
import weakref

from pipeline.server.exchange import Cancellation
from pipeline.server.running import Running


def test_end_breaks_off_what_runs_and_what_comes() -> None:
    """Whoever waits for a switch is told in the thread that ends."""
    running, told = Running(), list[str]()
    first, late = Cancellation(), Cancellation()
    running.add(first)
    assert not running.ended
    with first.watch(lambda: told.append("first")):
        running.end()
    assert told == ["first"]
    assert running.ended
    running.add(late)
    assert late.is_set()


def test_answered_requests_are_forgotten() -> None:
    """A switch that nobody holds any more is not kept."""
    running, gone = Running(), Cancellation()
    running.add(gone)
    seen = weakref.ref(gone)
    del gone
    gc.collect()
    assert seen() is None
