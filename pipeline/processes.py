"""Starts a process of this package beside the one that runs: same interpreter, same code, frames over its pipes.

In: a module and its arguments. Out: the process, with pipes to its stdin and from its stdout.
"""

from __future__ import annotations

import os
import subprocess
import sys

from pipeline.cores import available_cores


def another_helps() -> bool:
    """Whether a process beside this one can be started and has a core of its own."""
    return bool(sys.executable) and available_cores() > 1


def start_process(module: str, *arguments: str, quiet: bool = False) -> subprocess.Popen[bytes]:
    """Runs `python -m module`, which imports what this process can import, and nothing from the working folder (-P).

    Ctrl-C is for this process alone, which ends the other; where it is `quiet`, what it says on stderr is dropped.
    Raises OSError.
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
