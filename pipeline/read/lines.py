"""Text by lines with exact offsets, and the blocks of plain paragraphs. Shared by the line-based readers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.types import Block, BlockKind


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its line end: `text[start:end]`."""

    start: int
    end: int
    content: str

    @property
    def blank(self) -> bool:
        return not self.content.strip()

    @property
    def indent(self) -> int:
        return len(self.content) - len(self.content.lstrip())


def split_lines(text: str) -> list[Line]:
    """Lines as editors count them: ended by a line feed; a carriage return before it belongs to the end."""
    lines: list[Line] = []
    start = 0
    for part in text.split("\n"):
        content = part.removesuffix("\r")
        lines.append(Line(start, start + len(content), content))
        start += len(part) + 1
    return lines


def paragraphs(lines: list[Line], *, kind: BlockKind = "paragraph") -> Iterator[Block]:
    """A block for each run of lines that are not blank."""
    run: list[Line] = []
    for line in lines:
        if line.blank:
            if run:
                yield Block(start=run[0].start, end=run[-1].end, kind=kind)
            run = []
        else:
            run.append(line)
    if run:
        yield Block(start=run[0].start, end=run[-1].end, kind=kind)
