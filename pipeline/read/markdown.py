"""Markdown: CommonMark with tables through markdown-it-py, which tells the lines of each block.

Front matter, YAML between `---` lines or TOML between `+++` lines, becomes metadata and is no block.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from pipeline.read.formats import Parsed
from pipeline.read.front_matter import front_matter
from pipeline.read.lines import Line, each_line, paragraphs
from pipeline.types import Block, BlockKind

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# No bracket stands in a part that repeats, so that a run of them costs one look each.
INLINE_MARKS = re.compile(r"[*_`]+|\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)")

KINDS: dict[str, BlockKind] = {
    "paragraph_open": "paragraph",
    "heading_open": "heading",
    "fence": "code",
    "code_block": "code",
    "table_open": "table",
    "html_block": "paragraph",
}


def parse(text: str) -> Parsed:
    metadata, skipped = front_matter(text)
    # markdown-it takes only \n as a line end but for \r, which it normalises: keep the number of lines the same.
    lines = [Line(line.start + skipped, line.end + skipped, line.content) for line in each_line(text[skipped:])]
    source = "\n".join(line.content.replace("\r", " ").replace("\0", " ") for line in lines)
    try:
        blocks = tuple(_blocks(_reader().parse(source), lines))
    except RecursionError:  # hundreds of quotes or lists within each other: no text that anybody wrote
        blocks = tuple(paragraphs(lines))
    return Parsed(text=text, blocks=blocks, title=metadata.get("title", ""), metadata=metadata)


@cache
def _reader() -> MarkdownIt:
    """The parser, which takes longer to make than a page to read."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - heavy

    # What lies deeper than `maxNesting` is dropped without a word; what is inside a line is not needed.
    return MarkdownIt("commonmark", {"maxNesting": sys.maxsize}).enable("table").disable("inline")


def _blocks(tokens: list[Token], lines: list[Line]) -> Iterator[Block]:
    """Blocks in order. What stands in a list item is a list item, in a quote a quote; each line is in one block."""
    items = quotes = 0
    done = 0
    for position, token in enumerate(tokens):
        items += (token.type == "list_item_open") - (token.type == "list_item_close")
        quotes += (token.type == "blockquote_open") - (token.type == "blockquote_close")
        kind = KINDS.get(token.type)
        if kind is None or token.map is None:
            continue
        first, last = max(done, token.map[0]), token.map[1]
        while last > first and lines[last - 1].blank:
            last -= 1
        if first >= last:
            continue
        done = last
        if kind == "paragraph" and (items or quotes):
            kind = "list_item" if items else "quote"
        level = int(token.tag[1]) if kind == "heading" else 0
        title = _plain(tokens[position + 1].content) if kind == "heading" else ""
        yield Block(start=lines[first].start, end=lines[last - 1].end, kind=kind, level=level, title=title)


def _plain(inline: str) -> str:
    return " ".join(INLINE_MARKS.sub(lambda match: match[1] or "", inline).split())
