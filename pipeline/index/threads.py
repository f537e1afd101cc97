"""Work on several parts of a search at the same time, a thread for each processor.

FAISS and numpy let go of the interpreter while they work, so threads are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipeline.cores import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What `work` makes of each of `items`, in their order. Raises what `work` raises for the first that fails."""
    threads = min(len(items), available_cores())
    if threads < 2:
        return one_by_one(work, items)
    with ThreadPoolExecutor(threads, thread_name_prefix="search") as pool:
        return list(pool.map(work, items))


def one_by_one(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The same on the calling thread, for work that is over before a thread has started."""
    return [work(item) for item in items]
