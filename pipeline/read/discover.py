"""Finds documents: one lazy walk over files and folders, in a fixed order.

In: paths as the user gave them. Out: files to read, and what was passed over and why.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.read.formats import format_of

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MAX_BYTES = 64 * 2**20
IGNORE_FILES = (".gitignore", ".pipelineignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file to read: its absolute path, and what a stat said of it."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something passed over. `is_failure` is true where a user would expect it to be indexed."""

    path: Path
    reason: str
    is_failure: bool = False


def discover(paths: Sequence[Path], *, max_bytes: int = MAX_BYTES) -> Iterator[Found | Skipped]:
    """Walks `paths`, each file once, folders in the order of their names. Symbolic links are followed.

    Raises UsageError, before anything is yielded, if a path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist", hint="check the path")
    return _walk_all(paths, max_bytes)


def _walk_all(paths: Sequence[Path], max_bytes: int) -> Iterator[Found | Skipped]:
    seen: set[tuple[int, int]] = set()
    for path in paths:
        absolute = path.absolute().resolve()
        found = _walk(absolute, (), (), max_bytes) if absolute.is_dir() else _examine(absolute, max_bytes, asked=True)
        for item in found:
            if isinstance(item, Found):
                key = _identity(item.path)
                if key in seen:
                    continue
                seen.add(key)
            yield item


def _identity(path: Path) -> tuple[int, int]:
    """Tells files apart by their place, so that two links to one file are two documents, one path is one."""
    return hash(str(path)), len(str(path))


def _walk(
    folder: Path,
    ignores: tuple[tuple[Path, GitIgnoreSpec], ...],
    ancestors: tuple[tuple[int, int], ...],
    max_bytes: int,
) -> Iterator[Found | Skipped]:
    try:
        status = folder.stat()
        names = sorted(entry.name for entry in os.scandir(folder))
        ignores = (*ignores, *_ignore_rules(folder, names))
    except OSError as error:
        yield Skipped(path=folder, reason=f"cannot be opened: {error.strerror}", is_failure=True)
        return
    identity = (status.st_dev, status.st_ino)
    if identity in ancestors:
        yield Skipped(path=folder, reason="a loop: this link leads back to a folder that holds it", is_failure=True)
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            yield Skipped(path=path, reason="hidden")
        elif _ignored(path, ignores):
            yield Skipped(path=path, reason="ignored")
        elif path.is_dir():
            yield from _walk(path, ignores, (*ancestors, identity), max_bytes)
        else:
            yield from _examine(path, max_bytes, asked=False)


def _examine(path: Path, max_bytes: int, *, asked: bool) -> Iterator[Found | Skipped]:
    try:
        status = path.stat()
    except OSError as error:
        reason = "a link that leads nowhere" if path.is_symlink() else f"cannot be read: {error.strerror}"
        yield Skipped(path=path, reason=reason, is_failure=True)
        return
    if not stat.S_ISREG(status.st_mode):
        yield Skipped(path=path, reason="not a regular file", is_failure=asked)
    elif format_of(path) is None and not asked:
        yield Skipped(path=path, reason=f"unsupported format {path.suffix or path.name}")
    elif status.st_size > max_bytes:
        yield Skipped(path=path, reason=f"larger than {max_bytes // 2**20} MiB", is_failure=True)
    else:
        yield Found(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _ignore_rules(folder: Path, names: Sequence[str]) -> Iterator[tuple[Path, GitIgnoreSpec]]:
    for name in IGNORE_FILES:
        if name in names:
            from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only where there are rules

            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            yield folder, GitIgnoreSpec.from_lines(lines)


def _ignored(path: Path, ignores: Sequence[tuple[Path, GitIgnoreSpec]]) -> bool:
    """The innermost rule that says anything about a path decides."""
    for folder, spec in reversed(ignores):
        relative = path.relative_to(folder).as_posix() + ("/" if path.is_dir() else "")
        verdict = spec.check_file(relative).include
        if verdict is not None:
            return verdict
    return False
