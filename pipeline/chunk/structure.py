"""Chunking by structure: blocks are packed under their headings up to the budget, and split only where they must be.

In: a Document with its blocks, settings, a token counter. Out: Chunks whose spans are exact,
`document.text[chunk.start:chunk.end] == chunk.text`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.chunk.headings import hash_of, heading_lines
from pipeline.chunk.tokens import TokenCounter
from pipeline.types import Block, Chunk, Document, LineIndex

CONTEXT_SHARE = 4
"""The heading context may take one part in so many of the budget."""

# Where to cut a block that is too large, best first: paragraphs, sentences, lines, words.
BREAKS = (
    re.compile(r"\n[ \t]*\n"),
    re.compile(r"(?<=[.!?])[\"')\]]*\s|(?<=[。！？])"),
    re.compile(r"\n"),
    re.compile(r"\s"),
)
CODE_BREAKS = (re.compile(r"\n[ \t]*\n"), re.compile(r"\n"), re.compile(r"\s"))
LEAST_FILL = 0.5
"""A better kind of break is taken only if it fills the chunk at least this far."""

MERGE_BELOW = 0.4
"""Sections smaller than this part of the budget are packed together with the next one of the same parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSettings:
    """`max_tokens` is the budget of the embedded text, `reserved_tokens` of which the model's prefix takes."""

    strategy: str = "structure"
    max_tokens: int = 254
    reserved_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Unit:
    """A span of text that is kept whole: a block or a part of one, with the headings it stands under."""

    start: int
    end: int
    tokens: int
    path: tuple[str, ...]
    heading: bool


class _Costs:
    """Tokens of any span of a text, by sums over its characters."""

    def __init__(self, text: str, counter: TokenCounter) -> None:
        self._text = text
        self._counter = counter
        self._sums = counter.sums(text)
        self._contexts: dict[str, int] = {}

    def tokens(self, start: int, end: int) -> int:
        return int(self._sums[end] - self._sums[start])

    def exact_tokens(self, start: int, end: int) -> int:
        """As `tokens`, counted anew where the span starts inside a piece, as a word of its own."""
        starts_here = self._sums[start + 1] > self._sums[start]
        return self.tokens(start, end) if starts_here else self._counter.count(self._text[start:end])

    def of_context(self, context: str) -> int:
        """Tokens of a heading line, which many chunks share."""
        if context not in self._contexts:
            self._contexts[context] = self._counter.count(context)
        return self._contexts[context]

    def furthest(self, start: int, budget: int) -> int:
        """The offset up to which a span from `start` stays within `budget`: the start of the first piece beyond."""
        position = int(self._sums.searchsorted(self._sums[start] + budget, side="right")) - 1
        return position if position < len(self._text) else -1


def chunk_document(document: Document, *, settings: ChunkSettings, counter: TokenCounter) -> Iterator[Chunk]:
    """The chunks of a document in order. Together they hold every character of its blocks that is not white space."""
    costs = _Costs(document.text, counter)
    budget = max(8, settings.max_tokens - settings.reserved_tokens)
    lines = LineIndex(document)
    room = max(4, budget - budget // CONTEXT_SHARE - 2)
    units = _units(document, costs, room)
    for group in _packed(units, room):
        chunk = _chunk(
            document, lines, costs, start=group[0].start, end=group[-1].end, path=_path(group), budget=budget
        )
        if chunk is not None:
            yield chunk


def split_chunk(document: Document, chunk: Chunk) -> list[Chunk]:
    """Two chunks that hold what `chunk` holds, cut at the best place near its middle; none if it cannot be cut.

    For a chunk that the server finds too long, whatever the count said.
    """
    middle = (chunk.start + chunk.end) // 2
    cut = _best_cut(document.text, chunk.start, middle, chunk.end, BREAKS)
    spans = [_stripped(document.text, chunk.start, cut), _stripped(document.text, cut, chunk.end)]
    if any(start >= end for start, end in spans):
        return []
    lines = LineIndex(document)
    context = chunk.embedded_text[: len(chunk.embedded_text) - len(chunk.text)]
    if len(context) > middle - chunk.start:
        context = ""
    return [_record(document, lines, start, end, chunk.heading_path, context) for start, end in spans]


def _units(document: Document, costs: _Costs, room: int) -> Iterator[_Unit]:
    """The blocks in order, each with its heading path; blocks beyond the room in parts."""
    path: list[tuple[int, str]] = []
    for block in document.blocks:
        if block.title:
            path = [(level, title) for level, title in path if level < block.level]
            path.append((block.level, block.title))
        titles = tuple(title for _, title in path)
        for start, end in _parts(document.text, block, costs, room):
            yield _Unit(start, end, costs.tokens(start, end), titles, block.kind == "heading")


def _parts(text: str, block: Block, costs: _Costs, room: int) -> Iterator[tuple[int, int]]:
    start, end = _stripped(text, block.start, block.end)
    breaks = CODE_BREAKS if block.kind in ("code", "table") else BREAKS
    while start < end and costs.tokens(start, end) > room:
        limit = costs.furthest(start, room)
        cut = _best_cut(text, start, limit, min(limit, end), breaks) if start < limit < end else -1
        if cut <= start:
            cut = _past_one_piece(start, end)
        first, last = _stripped(text, start, cut)
        if first < last:
            yield first, last
        start, _ = _stripped(text, cut, end)
    if start < end:
        yield start, end


def _best_cut(text: str, start: int, limit: int, end: int, breaks: tuple[re.Pattern[str], ...]) -> int:
    """The last good place to cut before `limit`, or the first after it up to `end`, else `limit` itself."""
    least = start + int((limit - start) * LEAST_FILL)
    for pattern in breaks:
        places = [match.end() for match in pattern.finditer(text, least, min(limit + 1, end))]
        places = [place for place in places if start < place <= limit]
        if places:
            return places[-1]
    cut = limit
    while start < cut < end and (
        unicodedata.combining(text[cut]) or text[cut] == "\u200d" or text[cut - 1] == "\u200d"
    ):
        cut -= 1
    return cut if cut > start else limit


def _past_one_piece(start: int, end: int) -> int:
    """Where no cut fits the budget: after a run of characters short enough for any tokenizer."""
    return min(end, start + 16)


def _packed(units: Iterator[_Unit], room: int) -> Iterator[list[_Unit]]:
    """Runs of units that fit together; a heading goes with what follows it."""
    group: list[_Unit] = []
    tokens = 0
    for unit in units:
        full = tokens + unit.tokens > room
        apart = (
            bool(group)
            and unit.heading
            and not group[-1].heading
            and (tokens >= MERGE_BELOW * room or unit.path[:-1] != group[-1].path[: len(unit.path) - 1])
        )
        if group and (full or apart):
            headings: list[_Unit] = []
            while len(group) > 1 and group[-1].heading:
                headings.insert(0, group.pop())
            yield group
            group = headings
            tokens = sum(item.tokens for item in group)
            if group and tokens + unit.tokens > room:
                yield group
                group, tokens = [], 0
        group.append(unit)
        tokens += unit.tokens
    if group:
        yield group


def _path(group: list[_Unit]) -> tuple[str, ...]:
    """The headings that all units of a group stand under."""
    path = group[0].path
    for unit in group[1:]:
        shared = 0
        while shared < min(len(path), len(unit.path)) and path[shared] == unit.path[shared]:
            shared += 1
        path = path[:shared]
    return path


def _chunk(
    document: Document,
    lines: LineIndex,
    costs: _Costs,
    *,
    start: int,
    end: int,
    path: tuple[str, ...],
    budget: int,
) -> Chunk | None:
    start, end = _stripped(document.text, start, end)
    if start >= end:
        return None
    left = budget - costs.exact_tokens(start, end)
    return _record(document, lines, start, end, path, _context(document.title, path, costs, min(left, budget // 3)))


def _context(title: str, path: tuple[str, ...], costs: _Costs, room: int) -> str:
    """The longest heading line for which there is room."""
    return next(line for line in heading_lines(title, path) if not line or costs.of_context(line) <= room)


def _record(document: Document, lines: LineIndex, start: int, end: int, path: tuple[str, ...], context: str) -> Chunk:
    text = document.text[start:end]
    embedded = context + text
    content_hash = hash_of(embedded)
    place = f"{document.document_id}:{start}:{end}:".encode()
    return Chunk(
        chunk_id=hashlib.blake2b(place + content_hash, digest_size=8).hexdigest(),
        document_id=document.document_id,
        start=start,
        end=end,
        text=text,
        heading_path=path,
        start_line=lines.line_at(start),
        end_line=lines.line_at(end - 1),
        embedded_text=embedded,
        content_hash=content_hash,
    )


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
