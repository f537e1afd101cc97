"""The worker process that parses PDF, Office and other risky formats: `python -m pipeline.read.worker BYTES`.

In: frames on stdin, `{"format": name}` with a file's bytes. Out: a frame each on stdout, `{"parsed": ...}` or
`{"error": ...}`. It limits its own memory to BYTES of address space, ends when stdin does or its parent has gone, and
says `"last": true` when it has grown and wants to be replaced.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pipeline.errors import MissingExtra
from pipeline.read.formats import Unreadable, bytes_reader_of
from pipeline.read.frames import packed, read_frame, write_frame

PARENT_CHECK_SECONDS = 1.0
REPLACED_ABOVE = 2**29
"""Peak memory in bytes after which the worker is replaced: what one large file took is given back."""
DEEPEST_CALLS = 2000
"""Readers of trees recurse; a stack overflow in C would end the process without a word."""


def main() -> None:
    # What a library prints must not come between the frames.
    with os.fdopen(os.dup(sys.stdin.fileno()), "rb") as requests, os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        limit_memory(int(sys.argv[1]))
        sys.setrecursionlimit(DEEPEST_CALLS)
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        with contextlib.suppress(BrokenPipeError):
            while (frame := read_frame(requests)) is not None:
                reply = answer(frame[0]["format"], frame[1])
                del frame
                reply["last"] = bool(reply.get("exhausted")) or _peak() > REPLACED_ABOVE
                write_frame(out, reply)
                if reply["last"]:
                    return


def answer(name: str, content: bytes) -> dict[str, Any]:
    """What the parser of a format makes of a file, or why it makes nothing of it."""
    try:
        return {"parsed": packed(bytes_reader_of(name)(content))}
    except Unreadable as error:
        return {"error": error.message, "hint": error.hint, "kind": "unreadable"}
    except MissingExtra as error:
        return {"error": error.message.removesuffix(" is not installed"), "extra": error.extra, "kind": "missing"}
    except MemoryError:
        return {"error": "", "kind": "memory", "exhausted": True}
    except RecursionError:
        return {"error": "is nested too deeply", "hint": "", "kind": "unreadable"}
    except Exception as error:  # noqa: BLE001 - the reading process reports it as a failure of that file
        return {"error": str(error)[:1000], "type": type(error).__name__, "kind": "failed"}


def limit_memory(limit: int) -> None:
    """Caps the address space where the system allows it, and leaves no core file behind."""
    import resource  # noqa: PLC0415 - not on every system

    for kind, value in ((resource.RLIMIT_AS, limit), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        with contextlib.suppress(ValueError, OSError):  # macOS does not limit address space
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _peak() -> int:
    """Bytes of memory that this process has had at most."""
    with contextlib.suppress(OSError, StopIteration):
        # Of this program alone: Linux's `getrusage` counts what the parent had when it started this one.
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    import resource  # noqa: PLC0415 - not on every system

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _end_with(parent: int) -> None:
    """Ends the process when its parent has been killed, whatever the parser is doing."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
