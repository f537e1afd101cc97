"""Parses files of risky formats in a worker process, within limits of time and memory.

In: a format's name and a file's bytes. Out: what the parser made of them, or an exception that says why not. One worker
is started at the first such file and kept; one that hangs, grows or dies is killed and replaced, which costs the file
that it was at and no other. It ends with this process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import IO, Any

from pipeline.errors import MissingExtra
from pipeline.processes import start_process
from pipeline.read.formats import Parsed, Unreadable
from pipeline.read.frames import read_frame, unpacked, write_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file may take: `seconds` of time, and `memory` in bytes for the whole worker process."""

    seconds: float = 120.0
    memory: int = 2 * 2**30


class ParserFailed(Exception):
    """A parser raised something that it does not document; the text names it."""


class Worker:
    """A worker process and the way to it. Safe for threads, one file at a time; a fork starts one of its own."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    @property
    def process_id(self) -> int | None:
        """The running worker's process, for whoever wants to look at it."""
        return self._process.pid if self._process and self._owner == os.getpid() else None

    def parse(self, name: str, content: bytes) -> Parsed:
        """Has a file parsed. Raises Unreadable, MissingExtra or ParserFailed; on Ctrl-C the worker is killed."""
        with self._lock:
            process = self._running()
            late = threading.Event()
            timer = threading.Timer(self._limits.seconds, self._kill_late, (process, late))
            timer.daemon = True
            timer.start()
            reply = None
            try:
                reply = _exchange(process, name, content)
            finally:
                timer.cancel()
                if reply is None or reply["last"] or late.is_set():
                    self._end(process)
            if reply is None:
                raise self._died(process, late=late.is_set())
        return self._understood(reply)

    def close(self) -> None:
        """Ends the worker; the next file starts another."""
        with self._lock:
            if self._process is not None and self._owner == os.getpid():
                self._end(self._process)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner != os.getpid():
            _close_pipes(self._process)  # of a fork: the worker goes on working for the process that started it
            self._process = None
        if self._process is not None and self._process.poll() is not None:
            self._end(self._process)
        if self._process is None:
            self._process = start_process("pipeline.read.worker", str(self._limits.memory), quiet=True)
            self._owner = os.getpid()
        return self._process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        self._process = None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        _close_pipes(process)

    @staticmethod
    def _kill_late(process: subprocess.Popen[bytes], late: threading.Event) -> None:
        late.set()
        process.kill()

    def _died(self, process: subprocess.Popen[bytes], *, late: bool) -> Unreadable:
        if late:
            return Unreadable(
                f"took longer than {self._limits.seconds:g} seconds to read, and was given up",
                hint="split it, or name it in .pipelineignore to leave it out",
            )
        if process.returncode == -signal.SIGABRT:  # how native code ends that gets no memory
            return self._exhausted()
        status = process.returncode
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return Unreadable(f"made its reader crash ({how})", hint="name it in .pipelineignore to leave it out")

    def _exhausted(self) -> Unreadable:
        return Unreadable(
            f"takes more than {self._limits.memory // 2**20} MiB of memory to read",
            hint="split it, or name it in .pipelineignore to leave it out",
        )

    def _understood(self, reply: dict[str, Any]) -> Parsed:
        if "parsed" in reply:
            return unpacked(reply["parsed"])
        if reply["kind"] == "unreadable":
            raise Unreadable(reply["error"], hint=reply["hint"])
        if reply["kind"] == "missing":
            raise MissingExtra(reply["error"], extra=reply["extra"])
        if reply["kind"] == "memory":
            raise self._exhausted()
        raise ParserFailed(f"{reply['type']}: {reply['error']}")


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what it did not take of a file is dropped with the pipe
            if stream:
                stream.close()


def _exchange(process: subprocess.Popen[bytes], name: str, content: bytes) -> dict[str, Any] | None:
    """The worker's reply, or None if it has ended before giving one."""
    requests, replies = process.stdin, process.stdout
    assert requests is not None and replies is not None
    try:
        write_frame(requests, {"format": name}, content)
    except BrokenPipeError:
        return None
    return _reply(replies)


def _reply(replies: IO[bytes]) -> dict[str, Any] | None:
    frame = read_frame(replies)
    return frame[0] if frame else None


_worker = Worker()
atexit.register(_worker.close)


def parse_isolated(name: str, content: bytes) -> Parsed:
    """What the parser of a format makes of a file's bytes, in the worker that this process shares."""
    return _worker.parse(name, content)
