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
    plain = as_paragraphs(text)
    first = next((line.content.strip() for line in each_line(text) if not line.blank), "")
    if len(plain.blocks) > 1 and len(first) <= LONGEST_HEADING and _is_line(text, plain.blocks[0]):
        heading = replace(plain.blocks[0], kind="heading", level=1, title=first)
        return replace(plain, blocks=(heading, *plain.blocks[1:]), title=first)
    return replace(plain, title=first if len(first) <= LONGEST_TITLE else "")


def as_paragraphs(text: str) -> Parsed:
    """Text of which nothing else is known: the body of a message, a file that is not what its name says."""
    return Parsed(text=text, blocks=tuple(paragraphs(each_line(text))))


def _is_line(text: str, block: Block) -> bool:
    return "\n" not in text[block.start : block.end]
