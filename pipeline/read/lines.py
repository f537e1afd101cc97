"""Text by lines with exact offsets, and the blocks of plain paragraphs. Shared by the line-based readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from pipeline.types import Block, BlockKind


class Line(NamedTuple):
    """A line without its line end: `text[start:end]`. A tuple, as there are half a million in 20 MB."""

    start: int
    end: int
    content: str

    @property
    def blank(self) -> bool:
        return not self.content.strip()


def line_columns(text: str) -> tuple[list[str], list[int]]:
    """Contents and offsets of the lines, as editors count them: a carriage return before a line feed is no content.

    There is one offset more than lines, of a line after the last.
    """
    wholes = text.split("\n")
    starts = list(accumulate((len(whole) + 1 for whole in wholes), initial=0))
    return [whole.removesuffix("\r") for whole in wholes] if "\r" in text else wholes, starts


def each_line(text: str) -> Iterator[Line]:
    """The lines, with their offsets."""
    for content, start in zip(*line_columns(text), strict=False):
        yield Line(start, start + len(content), content)


def split_lines(text: str) -> list[Line]:
    """All the lines, for readers that look back and ahead."""
    return list(each_line(text))


def paragraphs(lines: Iterable[Line], *, kind: BlockKind = "paragraph") -> Iterator[Block]:
    """A block for each run of lines that are not blank."""
    start = end = -1
    for line in lines:
        if not line.blank:
            start, end = (line.start if start < 0 else start), line.end
        elif start >= 0:
            yield Block(start=start, end=end, kind=kind)
            start = -1
    if start >= 0:
        yield Block(start=start, end=end, kind=kind)
