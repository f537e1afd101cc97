"""Spans of a document with the sections they stand in. In: a document's blocks. Out: heading paths by offset."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.types import Block, Document

Path = tuple[str, ...]


class Span(NamedTuple):
    """`text[start:end]`, to become a chunk, and the headings that all of it stands under, outermost first."""

    start: int
    end: int
    path: Path


def shared_path(first: Path, second: Path) -> Path:
    """The headings that both stand under."""
    if first == second:
        return first
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared += 1
    return first[:shared]


def with_paths(document: Document) -> Iterator[tuple[Block, Path]]:
    """The blocks in order, each with the headings it stands under, its own title included."""
    open_sections: list[tuple[int, str]] = []
    path: Path = ()
    for block in document.blocks:
        if block.title:
            open_sections = [(level, title) for level, title in open_sections if level < block.level]
            open_sections.append((block.level, block.title))
            path = tuple(title for _, title in open_sections)
        yield block, path


class Outline:
    """The heading path of any span of a document."""

    def __init__(self, document: Document) -> None:
        self._starts: list[int] = []
        self._paths: list[Path] = []
        for block, path in with_paths(document):
            if not self._paths or path != self._paths[-1]:
                self._starts.append(block.start)
                self._paths.append(path)

    def path_at(self, offset: int) -> Path:
        """The headings that the text at `offset` stands under."""
        section = bisect_right(self._starts, offset) - 1
        return self._paths[section] if section >= 0 else ()

    def path_of(self, start: int, end: int) -> Path:
        """The headings that all of `text[start:end]` stands under."""
        path = self.path_at(start)
        for section in range(bisect_right(self._starts, start), bisect_left(self._starts, end)):
            path = shared_path(path, self._paths[section])
            if not path:
                break
        return path
