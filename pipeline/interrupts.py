"""Ctrl-C at a safe moment: an interrupt that arrives inside the block is raised when the block has ended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator


@contextlib.contextmanager
def interrupts_deferred() -> Generator[None]:
    """Holds SIGINT back while the block runs. Does nothing outside the main thread, where none arrives."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived = False

    def remember(*_: object) -> None:
        nonlocal arrived
        arrived = True

    previous = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if arrived:
            signal.raise_signal(signal.SIGINT)
