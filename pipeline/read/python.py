"""Python source: module docstring, functions, classes and methods by the syntax tree; each opens a section."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from pipeline.read import text as plain
from pipeline.read.formats import Parsed
from pipeline.read.lines import Line
from pipeline.types import Block

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
LINE_END = re.compile(r"\r\n?|\n")
"""What ends a line for the Python parser: also a carriage return on its own."""
MOST_CHARACTERS = 2**20
"""A syntax tree takes up to 600 bytes a character. What is longer is data more than code, and read as text."""


def parse(text: str) -> Parsed:
    if len(text) > MOST_CHARACTERS:
        return _as_text(text, not_parsed=f"longer than {MOST_CHARACTERS} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the compiler thinks of somebody's escapes is not our business
            tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        return _as_text(text, syntax_error=str(error))
    except (RecursionError, MemoryError) as error:  # how the parser says that an expression is too long or too deep
        return _as_text(text, syntax_error=str(error) or "too complex to parse")
    lines = list(_lines(text))
    docstring = ast.get_docstring(tree)
    title = docstring.strip().splitlines()[0] if docstring and docstring.strip() else ""
    return Parsed(text=text, blocks=tuple(_blocks(tree.body, lines, 0, len(lines), depth=0)), title=title)


def _as_text(text: str, **why: str) -> Parsed:
    return Parsed(text=text, blocks=plain.as_paragraphs(text).blocks, metadata=why)


def _lines(text: str) -> Iterator[Line]:
    """Lines as the parser counts them, so that its line numbers are theirs."""
    start = 0
    for end in LINE_END.finditer(text):
        yield Line(start, end.start(), text[start : end.start()])
        start = end.end()
    yield Line(start, len(text), text[start:])


def _blocks(body: list[ast.stmt], lines: list[Line], first: int, last: int, *, depth: int) -> Iterator[Block]:
    """Lines [first, last) cut at the definitions of `body`; what stands between them is a block of its own."""
    at = first
    for node in body:
        if not isinstance(node, Definition):
            continue
        start = _start(node, lines, at)
        yield from _block(lines, at, start, depth=depth, title="")
        end = node.end_lineno or start + 1
        if isinstance(node, ast.ClassDef):
            head = _start(node.body[0], lines, start) if node.body else end
            head = max(node.lineno, min(head, end))
            yield from _block(lines, start, head, depth=depth, title=_title(node))
            yield from _blocks(node.body, lines, head, end, depth=depth + 1)
        else:
            yield from _block(lines, start, end, depth=depth, title=_title(node))
        at = max(at, end)
    yield from _block(lines, at, last, depth=depth, title="")


def _start(node: ast.stmt, lines: list[Line], at: int) -> int:
    """The first line of a statement, with its decorators and the comments right above it."""
    decorators = node.decorator_list if isinstance(node, Definition) else []
    start = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    while start > at and lines[start - 1].content.lstrip().startswith("#"):
        start -= 1
    return max(start, at)


def _block(lines: list[Line], first: int, last: int, *, depth: int, title: str) -> Iterator[Block]:
    while first < last and lines[first].blank:
        first += 1
    while last > first and lines[last - 1].blank:
        last -= 1
    if first < last:
        level = depth + 1 if title else 0
        yield Block(start=lines[first].start, end=lines[last - 1].end, kind="code", level=level, title=title)


def _title(node: Definition) -> str:
    return f"{'class' if isinstance(node, ast.ClassDef) else 'def'} {node.name}"
