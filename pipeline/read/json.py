"""JSON and JSON lines as indented text, `key: value` a line, with the line of the file of each.

A record (an item of an outermost list, a line of JSON lines) is a block. What is no JSON is read as plain text. Nothing
recurses, so that nesting costs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.read import text as plain
from pipeline.read.assembly import Assembly
from pipeline.read.formats import Parsed
from pipeline.read.metadata import standard

TOKEN = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*+")|(-?\d[\w.+-]*|true|false|null|NaN|-?Infinity)|([\[\]{},:])|(\Z))', re.DOTALL
)
STRINGS = json.JSONDecoder(strict=False)
INDENT = "  "
DEEPEST_INDENT = 8
METADATA = ("title", "author", "authors", "date", "created", "language", "lang", "subject", "keywords", "tags")
TITLES = ("title", "name", "headline")


MOST_VALUES = 2_000_000
"""A file with more is numbers more than text, takes minutes, and is read as plain text."""


class _Malformed(ValueError):
    pass


class _TooMany(ValueError):
    pass


@dataclass(slots=True)
class _Container:
    """A list or an object that is open: `key` is that of the member to come, `items` how many there were."""

    is_object: bool
    key: str | None = None
    items: int = 0


@dataclass(slots=True)
class _Record:
    """Lines of text, and the file's line of each."""

    lines: list[str] = field(default_factory=list[str])
    places: list[int] = field(default_factory=list[int])

    def add(self, depth: int, text: str, place: int) -> None:
        indent = INDENT * min(depth, DEEPEST_INDENT)
        for part in text.splitlines() or [""]:
            self.lines.append(indent + part)
            self.places.append(place)


def parse(text: str) -> Parsed:
    reader = _Reader(text)
    try:
        reader.read()
    except (_Malformed, _TooMany) as error:
        key = "syntax_error" if isinstance(error, _Malformed) else "not_parsed"
        return Parsed(text=text, blocks=plain.as_paragraphs(text).blocks, metadata={key: str(error)})
    metadata = standard(pair for pair in reader.top_level if pair[0].lower() in METADATA)
    if reader.records > 1:
        metadata["record_count"] = str(reader.records)
    title = next((value for key, value in reader.top_level if key.lower() in TITLES), "")
    return reader.assembly.finish(title=title if reader.values == 1 else "", metadata=metadata)


class _Reader:
    """Goes through the tokens once; `values` counts the outermost values, `records` the blocks that are records."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._stack: list[_Container] = []
        self._record = _Record()
        self._place = 1
        self._seen = 0
        self.assembly = Assembly()
        self.values = 0
        self.records = 0
        self.top_level: list[tuple[str, str]] = []

    def read(self) -> None:
        expects_value = True
        for piece, place in self._tokens():
            self._place = place
            top = self._stack[-1] if self._stack else None
            if piece in ("]", "}"):
                self._close(piece, top, expects_value=expects_value)
                expects_value = False
            elif piece == ",":
                if top is None or expects_value:
                    raise _Malformed(f"a comma out of place in line {place}")
                expects_value = True
            elif not expects_value and top is not None:
                raise _Malformed(f"a comma is missing in line {place}")
            elif top is not None and top.is_object and top.key is None:
                if piece[0] != '"':
                    raise _Malformed(f"a key is missing in line {place}")
                top.key = _string(piece)
            elif piece == ":":
                raise _Malformed(f"a colon out of place in line {place}")
            elif piece in ("[", "{"):
                self._open(piece, top)
                expects_value = True
            else:
                self._scalar(_string(piece) if piece[0] == '"' else "" if piece == "null" else piece, top)
                expects_value = top is None
        if self._stack or not self.values:
            raise _Malformed("it ends too early")
        self._flush()

    def _tokens(self) -> Iterator[tuple[str, int]]:
        """The tokens but the colons after keys, each with its line."""
        at, counted, line = 0, 0, 1
        after_key = False
        while True:
            match = TOKEN.match(self._text, at)
            if match is None:
                line += self._text.count("\n", counted, at)
                raise _Malformed(f"line {line} is no JSON")
            if match[4] is not None:
                return
            kind = match.lastindex or 0
            start, at = match.start(kind), match.end()
            line += self._text.count("\n", counted, start)
            counted = start
            top = self._stack[-1] if self._stack else None
            if after_key:
                if match[3] != ":":
                    raise _Malformed(f"a colon is missing in line {line}")
                after_key = False
                continue
            after_key = kind == 1 and top is not None and top.is_object and top.key is None
            yield match[kind], line

    def _open(self, piece: str, top: _Container | None) -> None:
        self._begin(top)
        if top is not None:
            if top.key is not None:
                self._record.add(self._depth(), f"{top.key}:", self._place)
            elif len(self._stack) > 1:
                self._record.add(self._depth(), "-", self._place)
        self._stack.append(_Container(is_object=piece == "{"))

    def _close(self, piece: str, top: _Container | None, *, expects_value: bool) -> None:
        if top is None or top.is_object != (piece == "}") or top.key is not None or (expects_value and top.items):
            raise _Malformed(f"a bracket out of place in line {self._place}")
        self._stack.pop()
        self._done(self._stack[-1] if self._stack else None)
        if len(self._stack) <= 1:
            self._flush()

    def _scalar(self, value: str, top: _Container | None) -> None:
        self._begin(top)
        if top is None:
            self._record.add(0, value, self._place)
        elif top.key is None:
            mark = "- " if len(self._stack) > 1 else ""
            self._record.add(self._depth(), f"{mark}{value}", self._place)
        elif value:
            if len(self._stack) == 1:
                self.top_level.append((top.key, value))
            self._record.add(self._depth(), f"{top.key}: {value}", self._place)
        self._done(top)

    def _depth(self) -> int:
        """How far a line is indented: the items of an outermost list are not."""
        depth = len(self._stack) - 1
        return depth - 1 if depth > 0 and not self._stack[0].is_object else depth

    def _begin(self, top: _Container | None) -> None:
        """Notes that a value starts: an item of an outermost list, or an outermost value, is a record."""
        if top is None:
            self._flush()
            self.values += 1
            self.records += self.values > 1
        elif len(self._stack) == 1 and not top.is_object:
            self.records += 1
        self._seen += 1
        if self._seen > MOST_VALUES:
            raise _TooMany(f"more than {MOST_VALUES} values")
        if self.values == 2 and self.records == 1:
            self.records = 2  # the first of JSON lines was one too

    def _done(self, top: _Container | None) -> None:
        if top is not None:
            top.key = None
            top.items += 1

    def _flush(self) -> None:
        if self._record.lines:
            self.assembly.add("\n".join(self._record.lines), lines=self._record.places)
            self._record = _Record()


def _string(piece: str) -> str:
    if "\\" not in piece:
        return piece[1:-1]
    try:
        return STRINGS.decode(piece)
    except ValueError as error:
        raise _Malformed(f"a string that is none: {error}") from error
