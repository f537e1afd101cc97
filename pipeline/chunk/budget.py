"""What fits a chunk of one document: the tokens of any span, how far a span may go, the headings that go before it.

In: a document, settings, a token counter. The text is tokenised once, and every question after that is a bisection.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from math import ceil

from pipeline.chunk.cuts import Breaks, best_cut, stripped
from pipeline.chunk.headings import heading_lines
from pipeline.chunk.settings import ChunkSettings
from pipeline.chunk.tokens import LONGEST_PIECE, TokenCounter
from pipeline.types import Document

CONTEXT_SHARE = 4
"""The heading context may take one part in so many of the budget."""

LEAST_BUDGET = 8

EVEN_SLACK = 1.1
"""How far beyond an equal share a part may reach for a better place to end."""


class Budget:
    """`total` tokens for the embedded text of a chunk, `overlap` of which may repeat the chunk before."""

    def __init__(self, document: Document, settings: ChunkSettings, counter: TokenCounter) -> None:
        self.text = document.text
        self.total = max(LEAST_BUDGET, settings.max_tokens - settings.reserved_tokens)
        self.overlap = min(settings.overlap_tokens, self.total // 2)
        self._title = document.title
        self._counter = counter
        self._offsets, tokens = counter.pieces(document.text)
        self._sums = list(accumulate(tokens, initial=0))
        self._contexts: dict[tuple[str, ...], tuple[str, int]] = {}

    def tokens(self, start: int, end: int) -> int:
        """Tokens of `text[start:end]`, counted as a text of its own where it starts or ends inside a word."""
        first, last = bisect_left(self._offsets, start), bisect_left(self._offsets, end)
        if first < last:
            tokens = self._sums[last] - self._sums[first]
            if self._offsets[first] != start:
                tokens += self._counter.count(self.text[start : self._offsets[first]])
            return tokens
        return self._counter.count(self.text[start:end])

    def furthest(self, start: int, tokens: int) -> int:
        """The end of the last piece up to which a span from `start` stays within `tokens`; `start` if none does."""
        first = bisect_left(self._offsets, start)
        if first < len(self._offsets) and self._offsets[first] != start:
            tokens -= self._counter.count(self.text[start : self._offsets[first]])
            if tokens < 0:
                return start
        position = bisect_right(self._sums, self._sums[first] + tokens) - 1
        return self._offsets[position] if position < len(self._offsets) else len(self.text)

    def earliest(self, end: int, tokens: int) -> int:
        """The start of the first piece from which a span to `end` stays within `tokens`."""
        last = bisect_left(self._offsets, end)
        position = bisect_left(self._sums, self._sums[last] - tokens)
        return self._offsets[position] if position < last else end

    def context(self, path: tuple[str, ...], start: int | None = None) -> str:
        """The heading line that is embedded before a text under `path`: outer headings are dropped to make it fit.

        It is empty for a text that starts, at `start`, with the title of its document, and stands under no more.
        """
        return "" if self._is_titled(path, start) else self._context(path)[0]

    def room(self, path: tuple[str, ...], start: int | None = None) -> int:
        """Tokens that are left for the text of a chunk under `path`, what it repeats not counted; see `context`."""
        taken = 0 if self._is_titled(path, start) else self._context(path)[1]
        return self.total - taken - self.overlap

    def _is_titled(self, path: tuple[str, ...], start: int | None) -> bool:
        title = self._title
        return bool(title) and start is not None and path in ((), (title,)) and self.text.startswith(title, start)

    def parts(
        self, start: int, end: int, room: Callable[[int], int], breaks: Breaks, *, evenly: bool = False
    ) -> Iterator[tuple[int, int]]:
        """Spans that hold `text[start:end]` but for white space, cut at the best breaks.

        A span that starts at an offset has at most `room(offset)` tokens. With `evenly` they are about equally large,
        as many as are needed; else each is as large as can be, and the last one may be a few words.
        """
        start, end = stripped(self.text, start, end)
        while start < end and (tokens := self.tokens(start, end)) > (left := room(start)):
            if evenly and left > 0:
                left = min(left, int(EVEN_SLACK * tokens / ceil(tokens / left)))
            limit = min(self.furthest(start, left), end)
            cut = best_cut(self.text, start, limit, end, breaks) if limit > start else start
            if cut <= start:
                cut = self._inside_a_piece(start, end, left)
            first, last = stripped(self.text, start, cut)
            if first < last:
                yield first, last
            start, _ = stripped(self.text, cut, end)
        if start < end:
            yield start, end

    def _inside_a_piece(self, start: int, end: int, room: int) -> int:
        length = LONGEST_PIECE
        while length > 1 and self._counter.count(self.text[start : start + length]) > room:
            length //= 2
        return min(end, start + length)

    def _context(self, path: tuple[str, ...]) -> tuple[str, int]:
        known = self._contexts.get(path)
        if known is None:
            known = self._contexts[path] = self._fitting_context(path)
        return known

    def _fitting_context(self, path: tuple[str, ...]) -> tuple[str, int]:
        for line in heading_lines(self._title, path):
            tokens = self._counter.count(line)
            if tokens <= self.total // CONTEXT_SHARE:
                return line, tokens
        raise AssertionError("the last line is empty")
