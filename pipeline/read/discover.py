"""Finds documents: one lazy walk over files and folders, in a fixed order.

In: paths as the user gave them. Out: files to read, and what was passed over and why.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.read.files import printable, storable
from pipeline.read.formats import format_of, is_archive, limit_of
from pipeline.read.ignore import IGNORE_FILES, IgnoreFile, ignore_files_above, is_ignored, read_ignore_files

LONGEST_SHOWN_LINE = 60
DEAD_LINK = "link that leads nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file to read: its absolute path, and what a stat said of it."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something passed over. `is_failure` is true where a user would expect it to be indexed.

    `is_suspect`: there is nothing to index, which may be meant so or not; a failure for those who ask to be strict.
    Bytes of `path` that are not UTF-8 are spelled out (`caf\\xe9.txt`), so that it can be printed anywhere.
    """

    path: Path
    reason: str
    is_failure: bool = False
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to walk, with the rules that hold in it and the identities of the folders that hold it."""

    path: Path
    ignores: tuple[IgnoreFile, ...] = ()
    ancestors: tuple[tuple[int, int], ...] = ()


def discover(paths: Sequence[Path], *, max_bytes: int | None = None) -> Iterator[Found | Skipped]:
    """Walks `paths`, each file once, folders in the order of their names. Symbolic links are followed.

    A file among `paths` is always found, whatever its format and whatever ignore files say of it; archives are found
    only so. `max_bytes` replaces the limits of the formats.
    Raises UsageError, before anything is yielded, if a path does not exist or cannot be looked at.
    """
    return _walk_all([_resolved(path) for path in paths], max_bytes)


def _resolved(path: Path) -> tuple[Path, bool]:
    """A path that a user gave, made absolute, and whether it is a folder. Raises UsageError."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
        if is_folder:
            os.scandir(path).close()  # whether it can be listed
        return path.absolute().resolve(), is_folder
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "check the path; with --allow-empty, what was indexed of a path that is gone is removed"
        raise UsageError(f"{printable(path)} does not exist", hint=hint) from error
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links, ValueError: a null character
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{printable(path)} cannot be looked at: {reason}",
            hint="check its permissions and those of the folders above it",
        ) from error


def _walk_all(roots: Sequence[tuple[Path, bool]], max_bytes: int | None) -> Iterator[Found | Skipped]:
    seen: set[tuple[int, int]] = set()
    for root, is_folder in roots:
        for item in _walk(root, max_bytes) if is_folder else _examine(root, root, max_bytes, asked=True):
            key = _identity(item)
            if key not in seen:
                seen.add(key)
                yield item


def _identity(item: Found | Skipped) -> tuple[int, int]:
    """Tells files apart by their place, so that two links to one file are two documents, one path is one."""
    place = str(item.path)
    return hash(place), hash(item.reason) if isinstance(item, Skipped) else len(place)


def _walk(root: Path, max_bytes: int | None) -> Iterator[Found | Skipped]:
    """All that is in a folder and below. Folders wait on a stack of their own: depth costs no recursion."""
    if not storable(root):
        yield _not_utf8(root)
        return
    try:
        above = ignore_files_above(root)
    except OSError as error:
        yield _rules_unreadable(root, error)
        return
    yield from _bad_lines(above)
    stack = [_contents(_Folder(root, above), max_bytes)]
    while stack:
        item = next(stack[-1], None)
        if item is None:
            stack.pop()
        elif isinstance(item, _Folder):
            stack.append(_contents(item, max_bytes))
        else:
            yield item


def _contents(folder: _Folder, max_bytes: int | None) -> Iterator[Found | Skipped | _Folder]:
    """What is directly in a folder, in the order of its names."""
    try:
        status = folder.path.stat()
        with os.scandir(folder.path) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield _skipped(folder.path, f"cannot be opened: {error.strerror}", is_failure=True)
        return
    identity = (status.st_dev, status.st_ino)
    if identity in folder.ancestors:
        reason = "a loop: this link leads back to a folder that holds it"
        yield _skipped(folder.path, reason, is_failure=True)
        return
    names = {entry.name for entry in entries}
    try:
        own = tuple(read_ignore_files(folder.path, [name for name in IGNORE_FILES if name in names]))
    except OSError as error:
        yield _rules_unreadable(folder.path, error)
        return
    yield from _bad_lines(own)
    ignores = (*folder.ignores, *own)
    for entry in entries:
        path = folder.path / entry.name
        if entry.name.startswith("."):
            yield _skipped(path, "hidden")
            continue
        try:
            is_folder = entry.is_dir()
        except OSError as error:
            yield _unreadable(path, entry, error)
            continue
        if is_ignored(path, ignores, is_folder=is_folder):
            yield _skipped(path, "ignored")
        elif not is_folder:
            yield from _examine(path, entry, max_bytes, asked=False)
        elif not storable(path):
            yield _not_utf8(path)
        else:
            yield _Folder(path, ignores, (*folder.ancestors, identity))


def _examine(
    path: Path, entry: Path | os.DirEntry[str], max_bytes: int | None, *, asked: bool
) -> Iterator[Found | Skipped]:
    """A file by its stat alone: nothing is opened here."""
    try:
        status = entry.stat()
    except OSError as error:
        yield _unreadable(path, entry, error)
        return
    document_format = format_of(path)
    if not stat.S_ISREG(status.st_mode):
        yield _skipped(path, "not a regular file", is_failure=asked)
    elif document_format is None and not asked:
        kind = "archive" if is_archive(path) else "unsupported format"
        yield _skipped(path, f"{kind} {printable(path).suffix or printable(path).name}")
    elif not storable(path):
        yield _not_utf8(path)
    elif status.st_size > (limit := limit_of(path, document_format) if max_bytes is None else max_bytes):
        yield _skipped(path, f"larger than {limit // 2**20} MiB", is_failure=True)
    else:
        yield Found(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _skipped(path: Path, reason: str, *, is_failure: bool = False) -> Skipped:
    return Skipped(path=printable(path), reason=reason, is_failure=is_failure)


def _unreadable(path: Path, entry: Path | os.DirEntry[str], error: OSError) -> Skipped:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)) and entry.is_symlink():
        return Skipped(path=printable(path), reason=DEAD_LINK, is_suspect=True)
    return _skipped(path, f"cannot be read: {error.strerror}", is_failure=True)


def _not_utf8(path: Path) -> Skipped:
    return _skipped(path, "its path is not UTF-8 and cannot be recorded: rename it", is_failure=True)


def _rules_unreadable(folder: Path, error: OSError) -> Skipped:
    """Without its rules a folder is not walked: they may be there to keep something private."""
    rules = printable(Path(error.filename)) if error.filename else "its ignore file"
    return _skipped(folder, f"passed over, as {rules} cannot be read: {error.strerror}", is_failure=True)


def _bad_lines(files: Sequence[IgnoreFile]) -> Iterator[Skipped]:
    for file in files:
        for number, line in file.bad_lines:
            shown = repr(line if len(line) <= LONGEST_SHOWN_LINE else line[:LONGEST_SHOWN_LINE] + "…")
            yield _skipped(file.path, f"line {number} is no pattern and leaves nothing out: {shown}", is_failure=True)
