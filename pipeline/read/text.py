"""Plain text: paragraphs are separated by blank lines; the first short line is the title.

Where that line stands apart, above a blank line, it is the heading of all that follows, and may be longer.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline.read.formats import Parsed
from pipeline.read.lines import each_line, paragraphs
from pipeline.types import Block

LONGEST_TITLE = 100
LONGEST_HEADING = 250


def parse(text: str) -> Parsed:
    first = next((line.content.strip() for line in each_line(text) if not line.blank), "")
    blocks = tuple(paragraphs(each_line(text)))
    if len(blocks) > 1 and len(first) <= LONGEST_HEADING and _is_line(text, blocks[0]):
        blocks = (replace(blocks[0], kind="heading", level=1, title=first), *blocks[1:])
        return Parsed(text=text, blocks=blocks, title=first)
    return Parsed(text=text, blocks=blocks, title=first if len(first) <= LONGEST_TITLE else "")


def _is_line(text: str, block: Block) -> bool:
    return "\n" not in text[block.start : block.end]
