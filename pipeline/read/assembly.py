"""Puts the text of a document together block by block, for readers whose text is not the file itself.

In: blocks as a reader comes upon them, whole parsed parts among them. Out: a `Parsed` with exact spans. The text is
limited, whatever the file expands to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.read.formats import Parsed, Unreadable
from pipeline.types import Block, BlockKind

MAX_CHARACTERS = 64 * 2**20
"""How much text one document may give: as much as a text file of the largest size."""
SEPARATOR = "\n\n"
NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")
DEEPEST = 6
"""Heading levels beyond this one count as this one, as in HTML."""


class Assembly:
    """Collects blocks and where they stand in the file. A part is shifted to where it is put."""

    def __init__(self, *, max_characters: int = MAX_CHARACTERS) -> None:
        self._max_characters = max_characters
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._lines: list[tuple[int, int]] = []
        self._pages: list[tuple[int, int]] = []
        self.notices: list[str] = []

    @property
    def length(self) -> int:
        """How many characters there are so far."""
        return self._length

    def add(
        self,
        text: str,
        kind: BlockKind = "paragraph",
        *,
        level: int = 0,
        title: str = "",
        lines: Sequence[int] = (),
        page: int | None = None,
    ) -> None:
        """Adds a block. `lines` are the file's lines of the first and the following lines of `text`, as far as known.

        Raises Unreadable if the document grows too large.
        """
        text = clean(text).rstrip()
        if not text.strip():
            return
        start = self._append(text)
        self._blocks.append(Block(start=start, end=self._length, kind=kind, level=level, title=title))
        if lines:
            offset = start
            for line in lines:
                self._note(self._lines, offset, line)
                feed = text.find("\n", offset - start)
                if feed < 0:
                    break
                offset = start + feed + 1
        if page is not None:
            self._note(self._pages, start, page)

    def heading(self, text: str, level: int, *, line: int | None = None, page: int | None = None) -> None:
        """Adds a heading, which opens a section of `level`."""
        text = " ".join(clean(text).split())
        lines = () if line is None else (line,)
        self.add(text, "heading", level=min(max(1, level), DEEPEST), title=text, lines=lines, page=page)

    def include(self, part: Parsed, *, level: int = 0, lines: Sequence[int] = (), page: int | None = None) -> None:
        """Adds all of a parsed part, its headings `level` levels deeper.

        `lines` are the file's lines of the part's lines, as far as known: one stands for all that follow.
        """
        text = clean(part.text).rstrip()
        if not text:
            return
        start = self._append(text)
        for block in part.blocks:
            end = min(block.end, len(text))
            if block.start < end:
                deeper = min(DEEPEST, block.level + level) if block.title else block.level
                self._blocks.append(replace(block, start=start + block.start, end=start + end, level=deeper))
        offset = 0
        for number, line in enumerate(lines):
            self._note(self._lines, start + offset, line)
            offset = text.find("\n", offset) + 1
            if not offset or number + 1 == len(lines):
                break
        if page is not None:
            self._note(self._pages, start, page)
        self.notices.extend(part.notices)

    def finish(self, *, title: str = "", metadata: dict[str, str] | None = None) -> Parsed:
        return Parsed(
            text="".join(self._parts),
            blocks=tuple(self._blocks),
            title=" ".join(clean(title).split()),
            metadata=metadata or {},
            source_lines=tuple(self._lines),
            pages=tuple(self._pages),
            notices=tuple(self.notices),
        )

    def _append(self, text: str) -> int:
        """Appends text after a separator, and returns where it starts."""
        if self._parts:
            self._parts.append(SEPARATOR)
            self._length += len(SEPARATOR)
        start = self._length
        if start + len(text) > self._max_characters:
            raise Unreadable(
                f"holds more than {self._max_characters // 2**20} million characters of text",
                hint="split it, or name it in .pipelineignore to leave it out",
            )
        self._parts.append(text)
        self._length += len(text)
        return start

    @staticmethod
    def _note(places: list[tuple[int, int]], offset: int, number: int) -> None:
        if not places or (places[-1][1] != number and places[-1][0] < offset):
            places.append((offset, number))


def clean(text: str) -> str:
    """The text with what cannot be stored or shown replaced, character by character: its length stays."""
    if NO_TEXT.search(text):
        text = NO_TEXT.sub(" ", text)
    return text if text.isascii() else LONE_SURROGATES.sub("\ufffd", text)
