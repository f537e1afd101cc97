"""What every operation may need: the collections, the jobs, the uploads, the settings."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from pipeline.web.failures import Busy
from pipeline.web.jobs import Jobs
from pipeline.web.library import Library
from pipeline.web.maps import Maps
from pipeline.web.metrics import Metrics
from pipeline.web.settings import WebSettings
from pipeline.web.uploads import Uploads


class Service:
    """Closing it stops jobs, which keep what they have done, and ends the connection."""

    def __init__(self, library: Library, settings: WebSettings) -> None:
        self.library = library
        self.settings = settings
        self.jobs = Jobs()
        self.metrics = Metrics()
        self.maps = Maps()
        self.uploads = Uploads(library.config.home, most=settings.upload_bytes, most_together=settings.uploads_bytes)
        self.answers_running = 0
        self._lock = threading.Lock()

    @contextmanager
    def answering(self) -> Generator[None]:
        """One of the few answers that are written at a time. Raises Busy where there are as many already."""
        with self._lock:
            if self.answers_running >= self.settings.answers:
                raise Busy("other answers are being written", hint="wait until one of them has ended")
            self.answers_running += 1
        try:
            yield
        finally:
            with self._lock:
                self.answers_running -= 1

    def close(self) -> None:
        self.jobs.close()
        self.library.close()
