"""Files cut one after the other, by this process or, in a large run, by others beside it.

Python's lock lets a process use one core, and reading and cutting would take it from the embedding.

In: files to read. Out: their results, in the order in which the files were given.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
from collections import deque
from dataclasses import asdict, dataclass
from typing import BinaryIO, cast

from pipeline.chunk import ChunkSettings, Tokenizer, is_built_in
from pipeline.cores import available_cores
from pipeline.ingest.cut import Cut, Prepared, Unread, cut_file, from_json
from pipeline.processes import another_helps, start_process
from pipeline.read import Found
from pipeline.read.frames import read_frame, write_frame
from pipeline.store import StoredDocument

logger = logging.getLogger(__name__)

WORTH_SHARING = 2**17
"""Bytes that this process reads and cuts itself before it gets help: starting a process costs as much."""

MOST_WORKERS = 4
FILES_AHEAD = 7
BYTES_AHEAD = 8 * 2**20
"""How far a process may be ahead of what is embedded. The names of so many files fit a pipe, however long they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A file to read, when that was decided, and what is stored of it."""

    found: Found
    decided_at: int
    stored: StoredDocument | None

    @property
    def known_hash(self) -> str | None:
        return self.stored.row.content_hash if self.stored else None


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    files: int = 0
    bytes: int = 0

    @property
    def has_room(self) -> bool:
        return self.files < FILES_AHEAD and (not self.files or self.bytes < BYTES_AHEAD)


class Cutting:
    """Takes tasks and gives results in their order. Use it in a `with` block: it may hold processes.

    Args:
        prepared: gives settings and counter; called when the first file has to be cut.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._waiting: deque[tuple[Task, _Worker | None]] = deque()
        self._workers: list[_Worker] = []
        self._cut_here = 0
        self._alone = not another_helps()

    def __enter__(self) -> Cutting:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            _ended(worker)

    def share(self, settings: ChunkSettings, tokenizer: Tokenizer | None) -> None:
        """Lets other processes help from now on, where there are cores for them and so much has been cut already.

        A strategy of the user's own is known to this process alone.
        """
        if self._alone or self._workers or self._cut_here < WORTH_SHARING:
            return
        if not all(map(is_built_in, (settings.strategy, *settings.by_format.values()))):
            self._alone = True
            return
        for _ in range(min(MOST_WORKERS, available_cores())):
            try:
                self._workers.append(_start(settings, tokenizer))
            except OSError as error:
                logger.info("no process to help with reading: %s", error)
                self._alone = True
                return

    def put(self, task: Task) -> None:
        """Takes a file. To be called only while `has_room`."""
        worker = min(self._workers, key=lambda worker: (not worker.has_room, worker.bytes), default=None)
        if worker is not None:
            worker.files += 1
            worker.bytes += task.found.size
            # It may have ended: that is found out when its answer is asked for.
            with contextlib.suppress(BrokenPipeError):
                write_frame(_stream(worker.process.stdin), [str(task.found.path), task.known_hash])
        self._waiting.append((task, worker))

    @property
    def has_room(self) -> bool:
        """Whether there is something to do beside waiting for the oldest file's result."""
        return any(worker.has_room for worker in self._workers) if self._workers else not self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> tuple[Task, Cut | Unread]:
        """The oldest file's result, waited for."""
        task, worker = self._waiting.popleft()
        if worker is None:
            return task, self._cut_by_itself(task)
        worker.files -= 1
        worker.bytes -= task.found.size
        try:
            frame = read_frame(_stream(worker.process.stdout))
        except OSError:
            frame = None
        if frame is None:
            return task, self._after_the_end_of(worker, task)
        answer, _ = frame
        return task, self._cut_by_itself(task) if answer is None else from_json(answer)

    def _cut_by_itself(self, task: Task) -> Cut | Unread:
        self._cut_here += task.found.size
        return cut_file(task.found.path, task.known_hash, self._prepared)

    def _after_the_end_of(self, worker: _Worker, task: Task) -> Cut | Unread:
        """A process that was killed was so over the file whose result is missing; the others it had are cut here.

        One that ended by itself cannot run here, for whatever reason: no other is started.
        """
        status = _ended(worker)
        self._workers = [other for other in self._workers if other is not worker]
        self._waiting = deque((task, None if other is worker else other) for task, other in self._waiting)
        if status >= 0:
            self._alone = True
            return self._cut_by_itself(task)
        return Unread(message=f"cannot be read: the process that read it ended with {status}", out_of_reach=True)


def _start(settings: ChunkSettings, tokenizer: Tokenizer | None) -> _Worker:
    """Raises OSError."""
    process = start_process("pipeline.ingest.worker")
    with contextlib.suppress(BrokenPipeError):
        first = {"settings": asdict(settings), "tokenizer": asdict(tokenizer) if tokenizer else None}
        write_frame(_stream(process.stdin), first)
    return _Worker(process=process)


def _ended(worker: _Worker) -> int:
    """Waits for the end of a process, and gives its status."""
    with contextlib.suppress(BrokenPipeError), worker.process:
        pass
    return worker.process.wait()


def _stream(stream: object) -> BinaryIO:
    return cast("BinaryIO", stream)
