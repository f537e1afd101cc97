"""Which files of a collection have had their checksum verified, remembered from one process to the next.

In: a file and what the manifest records of it. Out: its path, once it is known to be the file that was committed. What
has been verified is remembered with the file's inode, size and times, so a file is read through for it once, on first
use, and again only when anything has happened to it. Damage that leaves all of these as they were (a failing disk) is
found by `verify_collection`, which trusts none of them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from pipeline.store.files import FileRecord, damaged, file_status, require_size, sha256_of

TICK_NS = 50_000_000
COARSE_TICK_NS = 2_000_000_000
"""A file changed less than this long ago may change again within its time stamp's resolution (FAT has the coarse)."""

Status = tuple[int, int, int, int]


class VerifiedFiles:
    """Remembers in the file `path`, a line a file; where that cannot be written, only as long as it lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = path.parent
        self._known: dict[str, tuple[str, Status]] | None = None
        self._fresh: dict[str, tuple[str, Status]] = {}

    def require(self, folder: Path, record: FileRecord) -> Path:
        """The path of a recorded file. Raises CorruptCollection if it is missing, cut or altered."""
        path = folder / record.name
        status = _status(require_size(path, record))
        name = self._name(path)
        if (record.sha256, status) in (self._entries().get(name), self._fresh.get(name)):
            return path
        if sha256_of(path) != record.sha256:
            raise damaged(path, record)
        self._remember(name, record.sha256, status)
        return path

    def written(self, folder: Path, records: Iterable[FileRecord]) -> None:
        """Files that this process has just written and read back; other processes are told once they have settled."""
        for record in records:
            path = folder / record.name
            self._fresh[self._name(path)] = record.sha256, _status(file_status(path))

    def settle(self) -> None:
        """Remembers what was `written` and is still as it was."""
        fresh, self._fresh = self._fresh, {}
        for name, (sha256, status) in fresh.items():
            with contextlib.suppress(OSError):
                if _status((self._root / name).stat()) == status:
                    self._remember(name, sha256, status)

    def forget_missing(self) -> None:
        """Drops the lines of files that are gone, once they are the greater part."""
        lines = len(self._entries())
        kept = {name: entry for name, entry in self._entries().items() if (self._root / name).exists()}
        if lines <= 2 * len(kept):
            return
        self._known = kept
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        with contextlib.suppress(OSError):
            temporary.write_text("".join(_line(name, *entry) for name, entry in kept.items()), encoding="utf-8")
            temporary.replace(self._path)

    def _remember(self, name: str, sha256: str, status: Status) -> None:
        _, _, mtime_ns, ctime_ns = status
        coarse = mtime_ns % 1_000_000 == 0
        if time.time_ns() - max(mtime_ns, ctime_ns) < (COARSE_TICK_NS if coarse else TICK_NS):
            return
        self._entries()[name] = sha256, status
        # A reader may not be allowed to write here, and a lost line costs one more reading.
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(descriptor, _line(name, sha256, status).encode())
            finally:
                os.close(descriptor)

    def _entries(self) -> dict[str, tuple[str, Status]]:
        if self._known is None:
            self._known = {}
            with contextlib.suppress(OSError, UnicodeDecodeError):
                for line in self._path.read_text(encoding="utf-8").splitlines():
                    # A line that was cut short is no loss.
                    with contextlib.suppress(ValueError):
                        sha256, inode, size, mtime_ns, ctime_ns, name = line.split(" ", 5)
                        self._known[name] = sha256, (int(inode), int(size), int(mtime_ns), int(ctime_ns))
        return self._known

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root))


def _status(status: os.stat_result) -> Status:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _line(name: str, sha256: str, status: Status) -> str:
    return " ".join((sha256, *map(str, status), name)) + "\n"
