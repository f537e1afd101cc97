"""Plain text: paragraphs are separated by blank lines; the first short line is the title."""

from __future__ import annotations

from pipeline.read.formats import Parsed
from pipeline.read.lines import paragraphs, split_lines

LONGEST_TITLE = 100


def parse(text: str) -> Parsed:
    lines = split_lines(text)
    first = next((line.content.strip() for line in lines if not line.blank), "")
    return Parsed(text=text, blocks=tuple(paragraphs(lines)), title=first if len(first) <= LONGEST_TITLE else "")
