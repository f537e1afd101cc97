"""Work shared out among threads: in order, to the end, whoever else is at work."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.index import threads
from pipeline.index.threads import side_by_side


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many threads share the work, whatever machine this is."""
    monkeypatch.setattr(threads, "available_cores", lambda: 2)


def test_results_come_in_the_order_of_the_items() -> None:
    """The first item ends last, and stands first."""
    second_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(10)
        elif item == 1:
            second_done.set()
        return item * item

    assert side_by_side(work, range(5)) == [0, 1, 4, 9, 16]


def test_the_first_item_that_fails_is_told_of() -> None:
    """Others that fail as well are not; all that was begun has ended by then."""
    ended: list[int] = []

    def work(item: int) -> int:
        ended.append(item)
        if item % 2:
            raise ValueError(f"item {item}")
        return item

    with pytest.raises(ValueError, match="item 1"):
        side_by_side(work, range(6))
    assert sorted(ended) == [0, 1, 2, 3, 4, 5]


def test_work_within_work_comes_to_an_end() -> None:
    """Though every thread there is waits for what it shares out itself."""

    def outer(item: int) -> int:
        return sum(side_by_side(lambda inner: item * inner, range(4)))

    assert side_by_side(outer, range(4)) == [0, 6, 12, 18]


def test_searches_at_the_same_time_do_not_wait_for_each_other() -> None:
    """One that holds the shared thread does not keep another from its end."""
    held, may_end = threading.Barrier(3), threading.Event()

    def hold(item: int) -> int:
        held.wait(10)
        assert may_end.wait(10)
        return item

    with ThreadPoolExecutor(1) as caller:
        holding = caller.submit(side_by_side, hold, range(2))
        held.wait(10)
        assert side_by_side(lambda item: item + 1, range(3)) == [1, 2, 3]
        may_end.set()
        assert holding.result(10) == [0, 1]


def test_an_interrupt_leaves_nothing_at_work() -> None:
    """Ctrl-C comes in the caller's thread: what has not begun is not begun any more."""
    caller = threading.get_ident()
    helping, interrupted = threading.Event(), threading.Event()
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if threading.get_ident() == caller:
            assert helping.wait(10)
            interrupted.set()
            raise KeyboardInterrupt
        helping.set()
        assert interrupted.wait(10)
        time.sleep(0.01)
        return item

    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, range(1000))
    seen = len(begun)
    assert seen < 1000
    assert side_by_side(lambda item: item, range(3)) == [0, 1, 2]
    assert len(begun) == seen
