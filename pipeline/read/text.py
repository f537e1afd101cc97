"""Plain text: paragraphs are separated by blank lines; the first short line is the title."""

from __future__ import annotations

from pipeline.read.formats import Parsed
from pipeline.read.lines import each_line, paragraphs

LONGEST_TITLE = 100


def parse(text: str) -> Parsed:
    first = next((line.content.strip() for line in each_line(text) if not line.blank), "")
    blocks = tuple(paragraphs(each_line(text)))
    return Parsed(text=text, blocks=blocks, title=first if len(first) <= LONGEST_TITLE else "")
