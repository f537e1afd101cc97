"""Says that a reader uses a generation, so that no writer removes what its manifest names.

In: the path of a manifest. Out: a shared lock on it, which ends with the object, or with the process however it ends.
A writer that may lock the manifest for itself alone knows that nobody reads it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path


class Lease:
    """Held from construction to `release`, or until nobody holds the object any more.

    Raises FileNotFoundError if the manifest is gone, or going: a newer one is there by then. Nothing is held where the
    file system has no locks, or the manifest may not be read.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            going = os.fstat(self._descriptor).st_nlink == 0
        except BlockingIOError:
            going = True
        except FileNotFoundError:
            raise
        except OSError:
            going = False
        if going:
            self.release()
            raise FileNotFoundError(f"{path} has been superseded")

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def unread(path: Path) -> Generator[bool]:
    """Whether nobody holds a lease on the manifest `path`; while the block runs nobody gets one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:
            # Without locks there are no leases either, and the last few manifests are kept for readers.
            free = True
        yield free
    finally:
        os.close(descriptor)
