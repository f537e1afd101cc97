"""Ctrl-C at a safe moment: an interrupt that arrives inside the block is raised when the block has ended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator


class _Held:
    """What the main thread has been told inside a block."""

    inside = False
    arrived = False


_held = _Held()


@contextlib.contextmanager
def interrupts_deferred() -> Generator[None]:
    """Holds SIGINT back while the block runs. Does nothing outside the main thread, where none arrives.

    Inside another such block it does nothing either: the outer one holds it back for longer.
    """
    if threading.current_thread() is not threading.main_thread() or _held.inside:
        yield
        return
    previous = signal.signal(signal.SIGINT, _remember)
    _held.inside, _held.arrived = True, False
    try:
        yield
    finally:
        _held.inside = False
        signal.signal(signal.SIGINT, previous)
        if _held.arrived:
            signal.raise_signal(signal.SIGINT)


def _remember(*_: object) -> None:
    _held.arrived = True
