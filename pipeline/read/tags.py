"""HTML as tags and text, with the line of each, in one pass whose cost is linear in the size of the file.

Not the standard library's parser, which raises AssertionError at odd declarations, and takes time that is quadratic
in the number of comments, tags or quotes that do not end. Attributes are told of the few tags that describe a page.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal

OPENING = re.compile(r"<(?=[A-Za-z!?/])")
TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*+)")
# A quote opens a value only after an equals sign. Possessive, so that a tag that does not end costs one look.
TAG_END = re.compile(r"(?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+>")
COMMENT_END = re.compile(r"--!?>")
CDATA, CDATA_END = "<![CDATA[", re.compile(r"\]\]>")
FIRST_END = re.compile(">")

DESCRIBING = frozenset(["html", "meta"])
"""Tags whose attributes are told."""
ATTRIBUTE = re.compile(r"([^\s\"'>/=]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
LONGEST_ATTRIBUTES = 10_000

RAW = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in ("script", "style")}
"""Elements that hold no tags and no text; one that never ends takes the rest of the file."""
RAW_TEXT = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in ("title", "textarea")}
"""Elements that hold text and no tags; the tag of one that never ends means nothing."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A tag, with its name in lower case, or text as it stands in the file; `line` counts from 1.

    `literal` is text whose ampersands mean themselves; `attributes` stand as in the file, for DESCRIBING tags.
    """

    kind: Literal["start", "end", "text", "literal"]
    value: str
    line: int
    attributes: str = ""


def attributes_of(piece: Piece) -> dict[str, str]:
    """The attributes of a tag, names in lower case, values as they stand."""
    found = ATTRIBUTE.findall(piece.attributes[:LONGEST_ATTRIBUTES])
    return {name.lower(): double or single or bare for name, double, single, bare in found}


def pieces(text: str) -> Iterator[Piece]:
    """The tags and the text of a file in order, without comments, declarations, scripts and styles."""
    return _Scanner(text).pieces()


class _Scanner:
    """Goes through a text once. What was looked for in vain up to the end is not looked for again."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line = 1
        self._counted = 0
        self._vain: set[re.Pattern[str]] = set()

    def pieces(self) -> Iterator[Piece]:
        at = 0
        while opening := OPENING.search(self._text, at):
            start = opening.start()
            tag = TAG.match(self._text, start)
            end = self._end_of_tag(tag.end()) if tag else self._end_of_declaration(start)
            if end < 0:  # nothing ends any more: the rest is text
                break
            yield from self._piece("text", at, start)
            if tag:
                at = yield from self._tag(tag, end)
            else:
                if self._text.startswith(CDATA, start) and self._text.endswith("]]>", start, end):
                    yield from self._piece("literal", start + len(CDATA), end - len("]]>"))
                at = end
        yield from self._piece("text", at, len(self._text))

    def _tag(self, tag: re.Match[str], end: int) -> Generator[Piece, None, int]:
        """The pieces of a tag that ends at `end`, and the offset at which to go on."""
        name = tag[2].lower()
        line = self._line_at(tag.start())
        if tag[1]:
            yield Piece("end", name, line)
            return end
        closed = self._text.endswith("/>", tag.start(), end)
        raw = None if closed else RAW.get(name) or RAW_TEXT.get(name)
        close = self._find(raw, end) if raw else None
        if name in RAW_TEXT and raw and not close:
            return end
        attributes = self._text[tag.end() : end] if name in DESCRIBING else ""
        yield Piece("start", name, line, attributes)
        if closed:
            yield Piece("end", name, line)
        if raw is None:
            return end
        stop = close.start() if close else len(self._text)
        if name in RAW_TEXT:
            yield from self._piece("text", end, stop)
        return stop

    def _end_of_tag(self, at: int) -> int:
        """The offset past a tag, or -1. After one whose quotes do not end, quotes are taken to mean nothing."""
        if TAG_END not in self._vain:
            if match := TAG_END.match(self._text, at):
                return match.end()
            self._vain.add(TAG_END)
        return self._past(FIRST_END, at)

    def _end_of_declaration(self, at: int) -> int:
        """The offset past a comment or a declaration, or -1. One that does not end as it should ends at the first >."""
        end = -1
        if self._text.startswith("<!--", at):
            end = self._past(COMMENT_END, at + 2)
        elif self._text.startswith(CDATA, at):
            end = self._past(CDATA_END, at)
        return end if end >= 0 else self._past(FIRST_END, at)

    def _past(self, pattern: re.Pattern[str], at: int) -> int:
        match = self._find(pattern, at)
        return match.end() if match else -1

    def _find(self, pattern: re.Pattern[str], at: int) -> re.Match[str] | None:
        match = None if pattern in self._vain else pattern.search(self._text, at)
        if match is None:
            self._vain.add(pattern)
        return match

    def _piece(self, kind: Literal["text", "literal"], start: int, end: int) -> Iterator[Piece]:
        if start < end:
            yield Piece(kind, self._text[start:end], self._line_at(start))

    def _line_at(self, at: int) -> int:
        """The line of an offset; offsets are asked for in ascending order."""
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        return self._line
