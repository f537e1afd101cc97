"""Ignore files: what .gitignore and .pipelineignore leave out, as git reads them.

In: folders and the paths in them. Out: whether a path is left out, and the lines that are no patterns.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.read.files import read_regular

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".pipelineignore")
REPOSITORY = ".git"

MAX_IGNORE_BYTES = 2**20
"""Each line costs a look at each path: what is larger is no list that anybody wrote."""

BRACKETS = re.compile(r"\[[!^]?\]?(?:\[:\w+:\]|[^\[\]])*\]")
CHARACTER_CLASS = re.compile(r"\[:(\w+):\]")
CHARACTER_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \t",
    "digit": "0-9",
    "lower": "a-z",
    "space": " \t\n\v\f\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""Classes in brackets, `[[:digit:]]`, which git knows and pathspec does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreFile:
    """The rules of one file, for the folder it lies in. `bad_lines` are those that are no patterns, by number."""

    path: Path
    spec: GitIgnoreSpec
    bad_lines: tuple[tuple[int, str], ...]

    def verdict(self, path: Path, *, is_folder: bool) -> bool | None:
        """Whether the rules leave a path out, or None if they say nothing about it."""
        return self.spec.check_file(self._relative(path, is_folder=is_folder)).include

    def without_rules_for(self, folder: Path) -> IgnoreFile:
        """The rules that do not leave out `folder` as a whole."""
        from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only where there are rules

        name = self._relative(folder, is_folder=True)
        return replace(self, spec=GitIgnoreSpec([rule for rule in self.spec.patterns if not rule.match_file(name)]))

    def _relative(self, path: Path, *, is_folder: bool) -> str:
        return path.relative_to(self.path.parent).as_posix() + ("/" if is_folder else "")


def read_ignore_files(folder: Path, names: Sequence[str] = IGNORE_FILES) -> Iterator[IgnoreFile]:
    """The rules of those of the ignore files `names` that are there. Raises OSError for one that cannot be read."""
    for name in names:
        try:
            content = read_regular(folder / name, max_bytes=MAX_IGNORE_BYTES)
        except FileNotFoundError:
            continue
        yield _parse(folder / name, content)


def ignore_files_above(root: Path) -> tuple[IgnoreFile, ...]:
    """Ignore files of the folders above `root` up to its repository's, outermost first. Raises OSError.

    There are none where no repository holds `root`. A root that they leave out is named on purpose: the rules that
    do so are dropped, the others hold.
    """
    if _is_repository(root):
        return ()
    above: list[Path] = []
    for folder in root.parents:
        above.insert(0, folder)
        if _is_repository(folder):
            break
    else:
        return ()
    files = [file for folder in above for file in read_ignore_files(folder)]
    if is_ignored(root, files, is_folder=True):
        files = [file.without_rules_for(root) for file in files]
    return tuple(files)


def is_ignored(path: Path, files: Sequence[IgnoreFile], *, is_folder: bool) -> bool:
    """Whether a path is left out. The innermost of the files, which come last, decides if it says anything."""
    for file in reversed(files):
        verdict = file.verdict(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def _parse(path: Path, content: bytes) -> IgnoreFile:
    """The rules of a file. A line that is no pattern does not keep the others from holding."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only where there are rules

    # Bytes that are not UTF-8 become what such bytes in names become, so that rules for these names match.
    lines = content.decode("utf-8-sig", "surrogateescape").split("\n")
    rules: list[GitIgnoreSpec] = []
    bad_lines: list[tuple[int, str]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `re` on a `[` in a set, which means itself
        for number, line in enumerate(lines, 1):
            try:
                rules.append(GitIgnoreSpec.from_lines([_prepared(line.removesuffix("\r"))]))
            except Exception:  # noqa: BLE001 - pathspec and re raise many kinds, and document few
                bad_lines.append((number, line))
    patterns = [pattern for rule in rules for pattern in rule.patterns]
    return IgnoreFile(path=path, spec=GitIgnoreSpec(patterns), bad_lines=tuple(bad_lines))


def _prepared(line: str) -> str:
    """A line in terms that pathspec knows. Raises ValueError or KeyError if it cannot mean anything."""
    if "\0" in line:
        raise ValueError("no name holds a null character")  # as in every line of a file in UTF-16
    if line.startswith("#") or "[:" not in line:
        return line
    return BRACKETS.sub(lambda match: "[" + CHARACTER_CLASS.sub(_characters, match[0][1:]), line)


def _characters(match: re.Match[str]) -> str:
    return CHARACTER_CLASSES[match[1]]


def _is_repository(folder: Path) -> bool:
    return os.path.lexists(folder / REPOSITORY)
