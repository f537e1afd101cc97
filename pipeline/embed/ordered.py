"""A worker pool that keeps order: results come out as the items went in, with a bounded number under way.

In: a function and a lazy stream of items. Out: the stream of its results. The window of items taken but not yet
handed on is several times the number of workers, so that a slow head does not stall the others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")

WINDOW_FACTOR = 4


class _Slot(Generic[Item, Result]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        self.done = False


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    unclaimed: list[Result] | None = None,
) -> Generator[Result]:
    """`map(function, items)` by `workers` threads.

    When a call raises, no further item is taken, every result that stands before the failed one and is ready is
    still handed on, and then the error is raised without waiting for calls that are under way. Closing the
    iterator early stops the pool in the same way: threads are daemons, so that nothing hangs at exit. Results that
    are ready at such an end but were not handed on, since one before them was not ready, go into `unclaimed`.
    """
    queue: SimpleQueue[_Slot[Item, Result] | None] = SimpleQueue()
    changed = threading.Condition()
    failures: list[BaseException] = []
    stopped = threading.Event()

    def work() -> None:
        while (slot := queue.get()) is not None and not stopped.is_set():
            try:
                result = function(slot.item)
            except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
                with changed:
                    failures.append(error)
                    changed.notify_all()
                return
            with changed:
                slot.result, slot.done = result, True
                changed.notify_all()

    threads = [threading.Thread(target=work, name=f"embed-{n}", daemon=True) for n in range(workers)]
    for thread in threads:
        thread.start()
    waiting: deque[_Slot[Item, Result]] = deque()
    try:
        yield from _drain(items, queue, changed, failures, waiting, window=workers * WINDOW_FACTOR)
    finally:
        stopped.set()
        for _ in threads:
            queue.put(None)
        if unclaimed is not None:
            with changed:
                unclaimed.extend(cast("Result", slot.result) for slot in waiting if slot.done)


def _drain(
    items: Iterable[Item],
    queue: SimpleQueue[_Slot[Item, Result] | None],
    changed: threading.Condition,
    failures: list[BaseException],
    waiting: deque[_Slot[Item, Result]],
    *,
    window: int,
) -> Iterator[Result]:
    source = iter(items)
    exhausted = False
    while True:
        while not exhausted and not failures and len(waiting) < window:
            try:
                slot = _Slot[Item, Result](next(source))
            except StopIteration:
                exhausted = True
                break
            waiting.append(slot)
            queue.put(slot)
        if not waiting:
            return
        with changed:
            changed.wait_for(lambda: waiting[0].done or bool(failures))
        if not waiting[0].done:
            raise failures[0]
        yield cast("Result", waiting.popleft().result)
