"""Chunking of source code by its syntax tree: definitions stay whole, and are split at their parts where they must be.

In: a document whose file name says its language. Out: spans, with the names of the definitions that hold them as
their path. Grammars are those of the extra `code`; a document in another language is cut by its blocks.
"""

from __future__ import annotations

import importlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from pathlib import PurePath
from typing import TYPE_CHECKING

from pipeline.chunk.budget import Budget
from pipeline.chunk.cuts import CODE, stripped
from pipeline.chunk.spans import Path, Span
from pipeline.chunk.structure import Unit, packed, structure_spans
from pipeline.errors import MissingExtra
from pipeline.types import Document

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

EXTRA = "code"
C, CPP = ("tree_sitter_c", "language"), ("tree_sitter_cpp", "language")
JAVASCRIPT = ("tree_sitter_javascript", "language")
TYPESCRIPT = ("tree_sitter_typescript", "language_typescript")
GRAMMARS = {
    **dict.fromkeys((".c", ".h"), C),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"), CPP),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), JAVASCRIPT),
    **dict.fromkeys((".ts", ".mts", ".cts"), TYPESCRIPT),
    ".tsx": ("tree_sitter_typescript", "language_tsx"),
    ".go": ("tree_sitter_go", "language"),
    ".java": ("tree_sitter_java", "language"),
    **dict.fromkeys((".py", ".pyi"), ("tree_sitter_python", "language")),
    ".rs": ("tree_sitter_rust", "language"),
}
"""The grammar's module and its function, by the suffix of a file."""

MOST_CHARACTERS = 2**21
"""A syntax tree takes many times the text. What is longer is data more than code, and is cut by its blocks."""

DEFINITION = re.compile(
    r"(class|function|method|constructor|interface|struct|enum|union|trait|impl|mod|module|namespace|type|record)"
    r"\w*_(definition|declaration|item|specifier|spec)|method_declaration|type_spec|decorated_definition"
)
LEADS = re.compile(r"\w*comment|decorator|attribute_item|annotation")
LONGEST_NAME = 80


def code_spans(document: Document, budget: Budget) -> Iterator[Span]:
    """Definitions and what stands between them, packed. Raises MissingExtra where the language's grammar is missing."""
    grammar = GRAMMARS.get(PurePath(document.path).suffix.lower())
    if grammar is None or len(document.text) > MOST_CHARACTERS:
        return structure_spans(document, budget)
    return packed(_units(document.text, _parser(*grammar), budget), budget)


def require_grammars() -> None:
    """Raises MissingExtra unless the extra is installed."""
    for module in {module for module, _ in GRAMMARS.values()}:
        _load(module)


@cache
def _parser(module: str, function: str) -> Parser:
    grammar = _load(module)
    from tree_sitter import Language, Parser  # noqa: PLC0415 - only where there is code

    language: Callable[[], object] = getattr(grammar, function)
    return Parser(Language(language()))


def _load(module: str) -> object:
    try:
        importlib.import_module("tree_sitter")
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{module.replace('_', '-')}, the grammar for chunking code,", extra=EXTRA) from error


def _units(text: str, parser: Parser, budget: Budget) -> Iterator[Unit]:
    """Nodes that fit, each with the definitions it stands in; one that does not fit gives its children.

    What no node holds, as in code that is not correct, goes with the node that follows it.
    """
    source = text.encode("utf-8", "surrogatepass")
    places = _Places(text, len(source))
    done = 0
    waiting: list[tuple[Node, Path]] = [(parser.parse(source).root_node, ())]
    while waiting:
        node, outer = waiting.pop()
        start, end = stripped(text, done, max(done, places.character(node.end_byte)))
        if start >= end:
            continue
        defines = DEFINITION.fullmatch(node.type) is not None
        name = _name(node, source) if defines else ""
        path = (*outer, name) if name else outer
        if node.child_count and budget.tokens(start, end) > budget.room(path):
            waiting.extend((child, path) for child in reversed(node.children))
            continue
        leads = LEADS.fullmatch(node.type) is not None
        yield from _parts(start, end, path, budget, opens=defines or leads, leads=leads)
        done = end
    yield from _parts(done, len(text), (), budget)


def _parts(
    start: int, end: int, path: Path, budget: Budget, *, opens: bool = False, leads: bool = False
) -> Iterator[Unit]:
    room = budget.room(path)
    for first, last in budget.parts(start, end, lambda _: room, CODE):
        yield Unit(first, last, budget.tokens(first, last), path, opens=opens, leads=leads)


def _name(node: Node, source: bytes) -> str:
    """What a definition is called, or empty where it has no name of its own."""
    named = node.child_by_field_name("name") or node.child_by_field_name("type")
    declarator = node.child_by_field_name("declarator")
    while named is None and declarator is not None:
        named = declarator if declarator.type.endswith("identifier") else None
        declarator = declarator.child_by_field_name("declarator")
    if named is None:
        return ""
    text = source[named.start_byte : named.end_byte].decode("utf-8", "replace")
    return " ".join(text.split())[:LONGEST_NAME]


class _Places:
    """Offsets in characters by offsets in bytes of the same text as UTF-8."""

    def __init__(self, text: str, length: int) -> None:
        self._starts: Sequence[int] = ()
        if length != len(text):
            self._starts = list(accumulate(map(_bytes_of, text), initial=0))

    def character(self, byte: int) -> int:
        return bisect_left(self._starts, byte) if self._starts else byte


def _bytes_of(character: str) -> int:
    code = ord(character)
    return 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
