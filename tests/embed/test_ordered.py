"""The worker pool: order, bounds, failures, closing."""

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.embed.ordered import WINDOW_FACTOR, ordered_map


def test_results_keep_the_order_of_the_items() -> None:
    """Results come out as the items went in, though later calls finish first."""

    def slow_when_even(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number * 10

    assert list(ordered_map(slow_when_even, range(20), workers=4)) == [number * 10 for number in range(20)]


def test_no_more_calls_than_workers_are_under_way() -> None:
    """At most `workers` calls run at once, and all of them do."""
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3, timeout=5)

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if number < 3:
            together.wait()
        with lock:
            running -= 1
        return number

    assert list(ordered_map(call, range(30), workers=3)) == list(range(30))
    assert most == 3


def test_items_are_taken_lazily() -> None:
    """Only a bounded window of items is taken before results are consumed."""
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = ordered_map(lambda number: number, source(), workers=2)
    next(results)
    assert len(taken) <= 2 * WINDOW_FACTOR + 1
    results.close()


def test_failure_is_raised_after_the_results_before_it() -> None:
    """What stands before the failed item and is ready is handed on, then the error comes through."""
    ready = threading.Event()

    def call(number: int) -> int:
        if number == 3:
            ready.wait(5)
            raise ValueError("the third")
        if number == 2:
            ready.set()
        return number

    results: list[int] = []
    with pytest.raises(ValueError, match="the third"):
        results.extend(ordered_map(call, range(100), workers=1))
    assert ready.is_set()


def test_failure_does_not_wait_for_a_slow_head() -> None:
    """An error behind a call that hangs is raised without waiting for that call."""
    release = threading.Event()

    def call(number: int) -> int:
        if number == 0:
            release.wait(30)
        if number == 1:
            raise ValueError("at once")
        return number

    started = time.monotonic()
    with pytest.raises(ValueError, match="at once"):
        list(ordered_map(call, range(10), workers=2))
    assert time.monotonic() - started < 5
    release.set()


def test_ready_results_behind_a_failure_are_unclaimed() -> None:
    """What was finished out of order when the run fails is handed over, so that no finished work is lost."""
    finished = threading.Event()

    def call(number: int) -> int:
        if number == 0:
            assert finished.wait(5)
            raise ValueError("the head")
        if number == 3:
            finished.set()
        return number

    unclaimed: list[int] = []
    with pytest.raises(ValueError, match="the head"):
        list(ordered_map(call, range(4), workers=2, unclaimed=unclaimed))
    assert unclaimed == [1, 2, 3]


def test_closing_early_stops_the_workers() -> None:
    """Closing the iterator makes no further call and leaves no thread behind."""
    calls: list[int] = []

    def call(number: int) -> int:
        calls.append(number)
        return number

    results = ordered_map(call, iter(range(10_000)), workers=2)
    next(results)
    results.close()
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("embed-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.01)
    assert len(calls) <= 2 * WINDOW_FACTOR + 1


def test_error_in_the_source_comes_through() -> None:
    """An error while the items are drawn up is raised to the consumer."""

    def source() -> Iterator[int]:
        yield 1
        raise KeyError("broken source")

    with pytest.raises(KeyError, match="broken source"):
        list(ordered_map(lambda number: number, source(), workers=2))
