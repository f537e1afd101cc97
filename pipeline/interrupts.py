"""Ctrl-C and SIGTERM at a safe moment: a signal that arrives inside the block is raised when the block has ended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: the run ends as after Ctrl-C, and keeps as much."""


class _Held:
    """What the main thread has been told inside a block."""

    inside = False
    arrived: int | None = None


_held = _Held()


@contextlib.contextmanager
def interrupts_deferred() -> Generator[None]:
    """Holds SIGINT and SIGTERM back while the block runs. Does nothing outside the main thread, where none arrives.

    Inside another such block it does nothing either: the outer one holds them back for longer.
    """
    if threading.current_thread() is not threading.main_thread() or _held.inside:
        yield
        return
    previous = [signal.signal(number, _remember) for number in STOPPING]
    _held.inside, _held.arrived = True, None
    try:
        yield
    finally:
        _held.inside = False
        for number, handler in zip(STOPPING, previous, strict=True):
            signal.signal(number, handler)
        if _held.arrived is not None:
            signal.raise_signal(_held.arrived)


@contextlib.contextmanager
def termination_raised() -> Generator[None]:
    """Raises Terminated in the block when SIGTERM arrives. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _remember(number: int, _: object) -> None:
    _held.arrived = number


def _terminate(*_: object) -> None:
    raise Terminated
