"""One writer at a time: an advisory lock on the collection's `lock` file, which names its owner.

The operating system drops the lock when its owner ends, however it ends, so a lock is never stale.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path

from pipeline.errors import CollectionLocked
from pipeline.store.files import writing


class WriterLock:
    """Held from construction to `release`. Raises CollectionLocked, naming the owner, if another holds it."""

    def __init__(self, path: Path) -> None:
        with writing(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _describe(os.pread(self._descriptor, 4096, 0))
            os.close(self._descriptor)
            raise CollectionLocked(
                f"collection {path.parent.name!r} is being written to by {owner}",
                hint="wait until it has finished; searching works meanwhile",
            ) from None
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        with writing(path):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(owner).encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)


def _describe(content: bytes) -> str:
    try:
        owner = json.loads(content)
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
