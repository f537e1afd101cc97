"""Programs run as processes, and what each cost: wall time, CPU time and peak memory as the system counts them.

In: a command. Out: what it printed, and a `Cost` from `os.wait4`, children that it waited for included.
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds and megabytes of one process; `peak_mb` is that of its largest process."""

    wall: float
    cpu: float
    peak_mb: float


class ProgramFailed(Exception):
    """A program ended with another status than 0; the text ends with what it wrote to stderr."""


def run_process(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> tuple[str, Cost]:
    """Runs a program to its end. Raises ProgramFailed."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=errors, env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (output, errors):
            stream.seek(0)
        if process.returncode:
            said = errors.read().decode(errors="replace")[-2000:]
            raise ProgramFailed(f"{' '.join(command)} ended with {process.returncode}: {said}")
        text = output.read().decode()
    scale = 1 if sys.platform == "darwin" else 1024
    return text, Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale / 1e6)


@contextmanager
def server(*arguments: str, dimension: int = 768) -> Iterator[str]:
    """The stand-in server in a process of its own; gives its URL."""
    command = [sys.executable, str(HERE / "stand_in.py"), "--dimension", str(dimension), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def ask(url: str, path: str) -> bytes:
    with urllib.request.urlopen(url + path, timeout=60) as reply:
        return reply.read()
