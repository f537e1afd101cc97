"""Calls to a model that may take too long: as many of their results as come in time. No logic beside.

In: calls, seconds. Out: the results of the first of them, and why there are not more.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.errors import PipelineError

T = TypeVar("T")


def results_in_time(calls: Sequence[Callable[[], T]], *, seconds: float, name: str) -> tuple[list[T], str]:
    """Results in the order of the calls, which are made one after another, and an empty text or what went wrong.

    After the time, or the first PipelineError, no further call is begun. `name` is that of the thread that makes them.
    """
    answers: queue.SimpleQueue[tuple[T] | PipelineError] = queue.SimpleQueue()
    stopped = threading.Event()

    def work() -> None:
        for call in calls:
            if stopped.is_set():
                return
            try:
                answers.put((call(),))
            except PipelineError as error:
                answers.put(error)
                return

    # In a thread of its own: a request cannot be broken off, but it need not be waited for.
    threading.Thread(target=work, name=name, daemon=True).start()
    results: list[T] = []
    deadline = time.monotonic() + seconds
    try:
        while len(results) < len(calls):
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(answer, PipelineError):
                return results, answer.message
            results.append(answer[0])
    except queue.Empty:
        return results, f"the {seconds:g} seconds for it are over"
    finally:
        stopped.set()
    return results, ""
