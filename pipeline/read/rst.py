"""reStructuredText, by its lines: sections with their adornments, literal blocks, directives, lists, tables.

Not docutils: it reports neither exact spans nor the lines of all nodes, and executes directives such as `include`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence

from pipeline.read.formats import Parsed
from pipeline.read.lines import line_columns
from pipeline.read.metadata import standard
from pipeline.types import Block, BlockKind

BLANK = -1

ADORNMENTS = frozenset(string.punctuation)
ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*")
DIRECTIVE = re.compile(r"\.\. [\w:+.-]+::")
COMMENT = re.compile(r"\.\.(?:\s+[^_\[|].*|\s*)$")
LIST_ITEM = re.compile(r"\s*(?:[-*+•]|\(?(?:\d+|[A-Za-z#])[.)])\s+")
GRID = re.compile(r"\s*(?:\+[-=+]+\+|=+(?:\s+=+)+)\s*")
FIELD = re.compile(r":([A-Za-z][\w -]*):\s+(.+)")
BIBLIOGRAPHIC = ("author", "authors", "date", "language", "organization", "status", "subject", "tags", "version")
FIELDS_WITHIN = 40
"""How many lines from the top such fields are looked for."""
CODE_DIRECTIVES = ("code", "code-block", "sourcecode", "literalinclude", "math", "parsed-literal")
TABLE_DIRECTIVES = ("list-table", "csv-table", "table")


def parse(text: str) -> Parsed:
    lines = _Lines(text)
    return Parsed(text=text, blocks=tuple(_blocks(lines)), metadata=standard(_fields(lines)))


class _Lines:
    """The lines of a text in columns: half a million in 20 MB are looked at, most of them more than once.

    `starts` are their offsets, with the end of the text as of one more line; `indents` the widths of the white space
    they begin with, BLANK for lines of nothing else; `adorned` says which begin with what a section may be marked with.
    """

    def __init__(self, text: str) -> None:
        self.contents, self.starts = line_columns(text)
        bodies = [content.lstrip() for content in self.contents]
        self.indents = [
            len(content) - len(body) if body else BLANK for content, body in zip(self.contents, bodies, strict=True)
        ]
        self.adorned = [content[:1] in ADORNMENTS for content in self.contents]
        self.adorned.append(False)

    def __len__(self) -> int:
        return len(self.contents)

    def end(self, at: int) -> int:
        return self.starts[at] + len(self.contents[at])


def _fields(lines: _Lines) -> Iterator[tuple[str, str]]:
    """The bibliographic fields, a list of `:Author: name` before or right after the title."""
    for content in lines.contents[:FIELDS_WITHIN]:
        if (match := FIELD.fullmatch(content.rstrip())) and match[1].lower() in BIBLIOGRAPHIC:
            yield match[1], match[2]


def _blocks(lines: _Lines) -> Iterator[Block]:
    levels: list[tuple[str, bool]] = []
    starts, indents, adorned = lines.starts, lines.indents, lines.adorned
    at = 0
    literal = False
    while at < len(lines):
        if indents[at] == BLANK:
            at += 1
            continue
        if (adorned[at] or adorned[at + 1]) and (section := _section(lines, at)):
            first, title_line, last, style = section
            if style not in levels:
                levels.append(style)
            yield Block(
                start=starts[first],
                end=lines.end(last),
                kind="heading",
                level=levels.index(style) + 1,
                title=lines.contents[title_line].strip(),
            )
            at, literal = last + 1, False
            continue
        end = _end_of(lines, at, literal=literal)
        kind = _kind(lines, at, literal=literal)
        if kind is not None:
            yield Block(start=starts[at], end=lines.end(end - 1), kind=kind)
        literal = kind in ("paragraph", "list_item") and lines.contents[end - 1].rstrip().endswith("::")
        at = end


def _section(lines: _Lines, at: int) -> tuple[int, int, int, tuple[str, bool]] | None:
    """(first line, title line, last line, style) of a section title that starts at a line.

    There is none where neither the line nor the next one is adorned.
    """
    line, after, below = (content.rstrip() for content in (*lines.contents[at : at + 3], "", "")[:3])
    if ADORNMENT.fullmatch(line) and after.strip() and below == line and not ADORNMENT.fullmatch(after):
        return at, at + 1, at + 2, (line[0], True)
    underlined = ADORNMENT.fullmatch(after) and len(after) >= len(line)
    if underlined and not line[:1].isspace() and not ADORNMENT.fullmatch(line) and not GRID.fullmatch(line):
        return at, at, at + 1, (after[0], False)
    return None


def _end_of(lines: _Lines, at: int, *, literal: bool) -> int:
    """One past the last line of the block at a line: indented bodies belong to it."""
    if literal or lines.contents[at].startswith(".."):
        return _end_of_body(lines.indents, at, lines.indents[at] + (not literal))
    contents, indents, adorned = lines.contents, lines.indents, lines.adorned
    end = at + 1
    while end < len(lines) and indents[end] != BLANK and not LIST_ITEM.match(contents[end]):
        if (adorned[end] or adorned[end + 1]) and _section(lines, end):
            break
        end += 1
    return end


def _end_of_body(indents: Sequence[int], at: int, indent: int) -> int:
    """One past the last line after `at` that is indented so far; blank lines between such lines belong to it."""
    end = after = at + 1
    while after < len(indents) and (indents[after] >= indent or indents[after] == BLANK):
        after += 1
        if indents[after - 1] != BLANK:
            end = after
    return end


def _kind(lines: _Lines, at: int, *, literal: bool) -> BlockKind | None:
    content = lines.contents[at]
    if literal and lines.indents[at]:
        return "code"
    if DIRECTIVE.match(content):
        name = content[3:].split("::")[0]
        return "code" if name in CODE_DIRECTIVES else "table" if name in TABLE_DIRECTIVES else "paragraph"
    if COMMENT.match(content):
        return None
    if GRID.fullmatch(content):
        return "table"
    if LIST_ITEM.match(content):
        return "list_item"
    return "quote" if lines.indents[at] else "paragraph"
