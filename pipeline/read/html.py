"""HTML: the text that a reader of the page sees, by blocks, with the source line of each.

Scripts, styles, navigation, page headers and footers, forms and asides are left out. What a page says of itself (its
language, `meta` tags) is metadata.
"""

from __future__ import annotations

import html
import re
from collections import Counter

from pipeline.read.formats import Parsed
from pipeline.read.metadata import standard
from pipeline.read.tags import Piece, attributes_of, pieces
from pipeline.types import Block, BlockKind

LEFT_OUT = frozenset(
    [
        "script",
        "style",
        "nav",
        "header",
        "footer",
        "aside",
        "form",
        "svg",
        "template",
        "noscript",
        "iframe",
        "select",
        "button",
    ]
)
VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCKS: dict[str, BlockKind] = {
    **dict.fromkeys(
        ("p", "div", "section", "article", "main", "body", "figure", "figcaption", "dl", "dt", "dd"), "paragraph"
    ),
    **dict.fromkeys(("ul", "ol", "address", "details", "summary", "hr", "html", "head", "caption"), "paragraph"),
    "li": "list_item",
    "table": "table",
    "pre": "code",
    "blockquote": "quote",
    **dict.fromkeys(HEADINGS, "heading"),
}
KEPT_META = frozenset(
    [
        *("author", "date", "description", "keywords", "language", "content-language", "subject", "publisher"),
        *("article:author", "article:published_time", "article:modified_time", "og:description", "last-modified"),
        *("created", "pubdate", "publish_date", "dc.creator", "dc.date", "dc.language", "dc.subject", "dc.publisher"),
        *("dc.description", "dcterms.creator", "dcterms.date", "dcterms.created", "dcterms.modified"),
    ]
)
MOST_META = 1000
SPACE = re.compile(r"\s+")
CELL_SEPARATOR = " | "


def parse(text: str) -> Parsed:
    reader = _Reader()
    for piece in pieces(text):
        reader.take(piece)
    reader.end_block()
    return Parsed(
        text="".join(reader.text),
        blocks=tuple(reader.blocks),
        title=" ".join("".join(reader.title).split()),
        metadata=standard(reader.described),
        source_lines=tuple(reader.lines),
    )


class _Reader:
    """Collects text; no recursion, so that nesting costs nothing."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.blocks: list[Block] = []
        self.lines: list[tuple[int, int]] = []
        self.title: list[str] = []
        self.described: list[tuple[str, str]] = []
        self._length = 0
        self._current: list[str] = []
        self._current_length = 0
        self._current_lines: list[tuple[int, int]] = []
        self._kind: BlockKind = "paragraph"
        self._level = 0
        self._left_out: list[str] = []
        self._left_out_tags: Counter[str] = Counter()
        self._content_depth = 0
        self._in_title = False
        self._preformatted = 0
        self._tables = 0
        self._cells = 0

    def take(self, piece: Piece) -> None:
        """Takes the next piece of the file."""
        if piece.kind == "start":
            if piece.attributes:
                self._describe(piece)
            self._start(piece.value)
        elif piece.kind == "end":
            self._end(piece.value)
        elif not self._left_out:
            self._take_text(piece)

    def _describe(self, piece: Piece) -> None:
        """Takes down what a page says of itself; the first of several values of a key will count."""
        attributes = {name: _unescaped(value) for name, value in attributes_of(piece).items()}
        if piece.value == "html":
            language = attributes.get("lang") or attributes.get("xml:lang", "")
            self.described.append(("language", language))
        elif piece.value == "meta" and len(self.described) < MOST_META:
            name = attributes.get("name") or attributes.get("property") or attributes.get("http-equiv", "")
            if name.lower() in KEPT_META:
                self.described.append((name, attributes.get("content", "")))

    def _start(self, tag: str) -> None:
        if tag in VOID and tag not in ("br", "hr"):
            return
        if tag in LEFT_OUT and not (tag in ("header", "footer") and self._content_depth):
            self._left_out.append(tag)
            self._left_out_tags[tag] += 1
        if self._left_out:
            return
        if tag == "title":
            self._in_title = True
        elif tag == "br":
            self._separate("\n")
        elif self._tables and tag == "tr":
            self._separate("\n" if self._current_length else "")
            self._cells = 0
        elif self._tables and tag in ("td", "th"):
            self._separate(CELL_SEPARATOR if self._cells else "")
            self._cells += 1
        elif tag in BLOCKS:
            self._open(tag)

    def _end(self, tag: str) -> None:
        if self._left_out:
            while self._left_out_tags[tag]:
                last = self._left_out.pop()
                self._left_out_tags[last] -= 1
                if last == tag:
                    break
            return
        if tag == "title":
            self._in_title = False
        elif tag in BLOCKS:
            self._close(tag)

    def _take_text(self, piece: Piece) -> None:
        for number, part in enumerate(piece.value.split("\n")):
            # Line by line, as a reference may stand for a line feed, which ends no line of the file.
            text = part if piece.kind == "literal" else _unescaped(part)
            if self._in_title:
                self.title.append(f"\n{text}" if number else text)
            elif self._preformatted:
                self._add_preformatted(text, piece.line + number, after_line_feed=number > 0)
            else:
                self._add_flowing(text, piece.line + number, after_line_feed=number > 0)

    def end_block(self) -> None:
        """Writes what has been collected as a block of its own."""
        text = "".join(self._current)
        stripped = text.strip()
        if stripped:
            if self.text:
                self.text.append("\n\n")
                self._length += 2
            lead = len(text) - len(text.lstrip())
            start, end = self._length, self._length + len(stripped)
            for offset, line in self._current_lines:
                place = max(start, start + offset - lead)
                if place < end and (not self.lines or (place > self.lines[-1][0] and line >= self.lines[-1][1])):
                    self.lines.append((place, line))
            self.text.append(stripped)
            self._length = end
            title = " ".join(stripped.split()) if self._kind == "heading" else ""
            self.blocks.append(Block(start=start, end=end, kind=self._kind, level=self._level, title=title))
        self._current, self._current_lines, self._current_length = [], [], 0
        self._kind, self._level = "paragraph", 0

    def _open(self, tag: str) -> None:
        if self._tables and tag != "table":
            return
        self.end_block()
        self._kind, self._level = BLOCKS[tag], HEADINGS.get(tag, 0)
        self._content_depth += tag in ("article", "main")
        self._preformatted += tag == "pre"
        self._tables += tag == "table"
        self._cells = 0

    def _close(self, tag: str) -> None:
        if self._tables and tag != "table":
            return
        self.end_block()
        self._content_depth = max(0, self._content_depth - (tag in ("article", "main")))
        self._preformatted = max(0, self._preformatted - (tag == "pre"))
        self._tables = max(0, self._tables - (tag == "table"))

    def _add_flowing(self, text: str, line: int, *, after_line_feed: bool) -> None:
        """A line of text whose white space collapses."""
        words = SPACE.sub(" ", text).strip()
        spaced = after_line_feed or text[:1].isspace()
        if spaced and self._current_length and not self._current[-1].endswith((" ", "\n")):
            self._add(" ")
        if words:
            self._note(line)
            self._add(words)
            if text[-1:].isspace():
                self._add(" ")

    def _add_preformatted(self, text: str, line: int, *, after_line_feed: bool) -> None:
        if after_line_feed:
            self._add("\n")
        self._note(line)
        self._add(text)

    def _note(self, line: int) -> None:
        self._current_lines.append((self._current_length, line))

    def _separate(self, separator: str) -> None:
        """Adds a separator in place of the white space before it."""
        if self._current and self._current[-1] == " ":
            self._current.pop()
            self._current_length -= 1
        self._add(separator)

    def _add(self, text: str) -> None:
        if text:
            self._current.append(text)
            self._current_length += len(text)


def _unescaped(text: str) -> str:
    """The text with its character references resolved; one with more digits than `int` takes stays as it is."""
    try:
        return html.unescape(text)
    except ValueError:
        return text
