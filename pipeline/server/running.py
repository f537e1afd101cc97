"""The requests that are under way, kept so that an application that closes can break them off."""

from __future__ import annotations

import threading
from weakref import WeakSet

from pipeline.server.exchange import Cancellation


class Running:
    """Of requests that are answered, and of replies that are still streamed: a stream holds its own. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancellations: WeakSet[Cancellation] = WeakSet()
        self._ended = False

    @property
    def ended(self) -> bool:
        return self._ended

    def add(self, cancellation: Cancellation) -> None:
        """Keeps a request's switch; after the end it is set at once."""
        with self._lock:
            self._cancellations.add(cancellation)
            ended = self._ended
        if ended:
            cancellation.set()

    def end(self) -> None:
        """Breaks off all there are, and all that will come."""
        with self._lock:
            self._ended = True
            running = list(self._cancellations)
        for cancellation in running:
            cancellation.set()
