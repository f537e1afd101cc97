"""reStructuredText, by its lines: sections with their adornments, literal blocks, directives, lists, tables.

Not docutils: it reports neither exact spans nor the lines of all nodes, and executes directives such as `include`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from pipeline.read.formats import Parsed
from pipeline.read.lines import Line, split_lines
from pipeline.read.metadata import standard
from pipeline.types import Block, BlockKind

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
    lines = split_lines(text)
    return Parsed(text=text, blocks=tuple(_blocks(lines)), metadata=standard(_fields(lines)))


def _fields(lines: list[Line]) -> Iterator[tuple[str, str]]:
    """The bibliographic fields, a list of `:Author: name` before or right after the title."""
    for line in lines[:FIELDS_WITHIN]:
        if (match := FIELD.fullmatch(line.content.rstrip())) and match[1].lower() in BIBLIOGRAPHIC:
            yield match[1], match[2]


def _blocks(lines: list[Line]) -> Iterator[Block]:
    levels: list[tuple[str, bool]] = []
    at = 0
    literal = False
    while at < len(lines):
        line = lines[at]
        if line.blank:
            at += 1
            continue
        if section := _section(lines, at):
            first, title_line, last, style = section
            if style not in levels:
                levels.append(style)
            yield Block(
                start=lines[first].start,
                end=lines[last].end,
                kind="heading",
                level=levels.index(style) + 1,
                title=lines[title_line].content.strip(),
            )
            at, literal = last + 1, False
            continue
        end = _end_of(lines, at, literal=literal)
        kind = _kind(lines, at, literal=literal)
        if kind is not None:
            yield Block(start=line.start, end=lines[end - 1].end, kind=kind)
        literal = kind in ("paragraph", "list_item") and lines[end - 1].content.rstrip().endswith("::")
        at = end


def _section(lines: list[Line], at: int) -> tuple[int, int, int, tuple[str, bool]] | None:
    """(first line, title line, last line, style) of a section title that starts at a line."""
    # Most lines are none: they are let go of by their first characters.
    if lines[at].content[:1] not in ADORNMENTS and (
        at + 1 == len(lines) or lines[at + 1].content[:1] not in ADORNMENTS
    ):
        return None
    line = lines[at].content.rstrip()
    after = lines[at + 1].content.rstrip() if at + 1 < len(lines) else ""
    below = lines[at + 2].content.rstrip() if at + 2 < len(lines) else ""
    if ADORNMENT.fullmatch(line) and after.strip() and below == line and not ADORNMENT.fullmatch(after):
        return at, at + 1, at + 2, (line[0], True)
    underlined = ADORNMENT.fullmatch(after) and len(after) >= len(line)
    if underlined and not line[:1].isspace() and not ADORNMENT.fullmatch(line) and not GRID.fullmatch(line):
        return at, at, at + 1, (after[0], False)
    return None


def _end_of(lines: list[Line], at: int, *, literal: bool) -> int:
    """One past the last line of the block at a line: indented bodies belong to it."""
    body = literal or lines[at].content.startswith("..")
    indent = lines[at].indent
    end = at + 1
    while end < len(lines):
        line = lines[end]
        if line.blank:
            following = end + 1
            while following < len(lines) and lines[following].blank:
                following += 1
            if not body or following == len(lines) or lines[following].indent < indent + (not literal):
                break
            end = following
            continue
        if (body and line.indent < indent + (not literal)) or (
            not body and (LIST_ITEM.match(line.content) or _section(lines, end))
        ):
            break
        end += 1
    while lines[end - 1].blank:
        end -= 1
    return end


def _kind(lines: list[Line], at: int, *, literal: bool) -> BlockKind | None:
    content = lines[at].content
    if literal and lines[at].indent:
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
    return "quote" if lines[at].indent else "paragraph"
