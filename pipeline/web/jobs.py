"""Long work that goes on without a request: indexing, pulling. Started by one request, watched and stopped by others.

In: work as a function. Out: `Job`s, whose state is JSON and whose changes can be waited for.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from pipeline.errors import Canceled
from pipeline.server.exchange import Cancellation
from pipeline.shapes import error_json
from pipeline.web.events import Event
from pipeline.web.failures import Busy, NotFound, failed

State = Literal["waiting", "running", "done", "failed", "canceled"]

AT_A_TIME = 2
MOST_WAITING = 50
KEPT = 100
"""Ended jobs that are still listed."""

TOLD_EVERY = 0.1
HEARD_EVERY = 15.0
"""Seconds after which a watcher is told again though nothing has changed."""


class Job:
    """`facts` say what is done to what; `progress` is replaced, never changed. Thread-safe."""

    def __init__(self, number: int, kind: str, facts: dict[str, Any]) -> None:
        self.id = str(number)
        self.kind = kind
        self.facts = facts
        self.state: State = "waiting"
        self._progress: dict[str, Any] = {}
        self._result: dict[str, Any] | None = None
        self._error: dict[str, Any] | None = None
        self._started = time.monotonic()
        self._seconds: float | None = None
        self._version = 0
        self._changed = threading.Condition()
        self.cancellation = Cancellation()

    def run(self, work: Callable[[Job], dict[str, Any]]) -> None:
        with self._changed:
            if self.ended:
                return
            self._started = time.monotonic()
            self.state = "running"
            self._tell()
        try:
            self._end("done", work(self), None)
        except Canceled:
            self._end("canceled", None, None)
        except Exception as error:  # noqa: BLE001  whoever watches is told
            if self.cancellation.is_set():
                self._end("canceled", None, None)
            else:
                self._end("failed", None, error_json(failed(error)[1])["error"])

    def cancel(self) -> None:
        """Work stops where it next looks; what it has done is kept."""
        self.cancellation.set()
        with self._changed:
            if self.state == "waiting":
                self._end("canceled", None, None)

    def check(self) -> None:
        """Raises Canceled where the job has been told to stop."""
        if self.cancellation.is_set():
            raise Canceled("the job was canceled", hint="what was done is kept; start it again to go on")

    def note(self, **progress: Any) -> None:
        """Adds to what is known of the progress."""
        with self._changed:
            self._progress = {**self._progress, **progress}
            self._tell()

    def report(self, **progress: Any) -> None:
        """As `note`; raises Canceled where the job has been told to stop."""
        self.note(**progress)
        self.check()

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "canceled")

    def to_json(self) -> dict[str, Any]:
        with self._changed:
            seconds = time.monotonic() - self._started if self._seconds is None else self._seconds
            return {
                "id": self.id,
                "kind": self.kind,
                **self.facts,
                "state": self.state,
                "progress": self._progress,
                "result": self._result,
                "error": self._error,
                "seconds": round(seconds, 3),
            }

    def events(self, cancellation: Cancellation) -> Iterator[Event]:
        """`progress` at each change, ten times a second at most, and `end` at last; each with the whole job."""
        seen = -1
        with cancellation.watch(self._wake):
            while True:
                seen = self._next_version(seen, cancellation)
                cancellation.check()
                ended = self.ended
                yield "end" if ended else "progress", self.to_json()
                if ended:
                    return
                time.sleep(TOLD_EVERY)

    def _next_version(self, seen: int, cancellation: Cancellation) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen or cancellation.is_set(), HEARD_EVERY)
            return self._version

    def _end(self, state: State, result: dict[str, Any] | None, error: dict[str, Any] | None) -> None:
        with self._changed:
            self.state, self._result, self._error = state, result, error
            self._seconds = time.monotonic() - self._started
            self._tell()

    def _tell(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Jobs:
    """Runs a few jobs at a time, in the order in which they came. Closing it stops them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="job")
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def start(self, kind: str, facts: dict[str, Any], work: Callable[[Job], dict[str, Any]]) -> Job:
        """Raises Busy where too many wait already."""
        with self._lock:
            if sum(job.state == "waiting" for job in self._jobs.values()) >= MOST_WAITING:
                raise Busy("too many jobs are waiting", hint="wait for some to end, or cancel them")
            job = Job(next(self._numbers), kind, facts)
            self._jobs[job.id] = job
            for old in [each.id for each in self._jobs.values() if each.ended][:-KEPT]:
                del self._jobs[old]
        self._threads.submit(job.run, work)
        return job

    def get(self, job_id: str) -> Job:
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id!r}", hint="see /api/jobs")
        return job

    def all(self) -> list[Job]:
        """Newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def running_for(self, kind: str, **facts: Any) -> Job | None:
        """A job of this kind that has not ended and whose facts include these."""
        alike = (job for job in self.all() if job.kind == kind and facts.items() <= job.facts.items())
        return next((job for job in alike if not job.ended), None)

    def close(self) -> None:
        for job in self.all():
            job.cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)
