"""The bytes of regular files, and of nothing else: a pipe would block, and a device may act when it is opened."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MAX_BYTES = 64 * 2**20


def read_regular(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a regular file. Raises OSError, also where `path` is something else, or holds too much."""
    _require_regular(path.stat(), path)
    # It may have been replaced since it was looked at: do not wait for the other end of a pipe, and look again.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
        status = os.fstat(file.fileno())
        _require_regular(status, path)
        content = file.read(min(status.st_size, max_bytes) + 1)
        if status.st_size < len(content) <= max_bytes:  # it grows, or does not tell its size
            content += file.read(max_bytes + 1 - len(content))
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes // 2**20} MiB", str(path))
    return content


def storable(path: Path) -> bool:
    """Whether a path can be written as UTF-8, which names on disk need not be."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: Path) -> Path:
    """The path with bytes that are not UTF-8 spelled out, so that any stream takes it: `caf\\xe9.txt`."""
    return path if storable(path) else Path(os.fsencode(path).decode("utf-8", "backslashreplace"))


def _require_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
