"""Documents become Chunks: a strategy says where to cut, and what it says is checked and made exact here.

In: a Document with its blocks, settings, a token counter. Out: Chunks whose spans are exact,
`document.text[chunk.start:chunk.end] == chunk.text`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pipeline.chunk.budget import Budget
from pipeline.chunk.cuts import PROSE, best_cut, first_cut, stripped
from pipeline.chunk.headings import hash_of
from pipeline.chunk.settings import ChunkSettings
from pipeline.chunk.spans import Path, Span
from pipeline.chunk.strategies import strategy_named
from pipeline.chunk.tokens import TokenCounter
from pipeline.errors import PipelineError
from pipeline.types import Chunk, Document, LineIndex


def chunk_document(document: Document, *, settings: ChunkSettings, counter: TokenCounter) -> Iterator[Chunk]:
    """The chunks of a document in order. Together they hold every character of its blocks that is not white space.

    Raises:
        UsageError: there is no strategy of that name.
        MissingExtra: it needs what is not installed.
        PipelineError: a strategy of the user's own leaves text out, or gives spans out of order.
    """
    name = settings.strategy_for(document.format)
    budget = Budget(document, settings, counter)
    lines = LineIndex(document)
    before: Span | None = None
    for span in _checked(name, strategy_named(name)(document, budget), document):
        for start, end in budget.parts(span.start, span.end, lambda at, path=span.path: budget.room(path, at), PROSE):
            part = Span(start, end, span.path)
            first = _repeated_from(before, part, budget) if before and budget.overlap else start
            yield _record(document, lines, first, end, span.path, budget.context(span.path, first))
            before = part


def split_chunk(document: Document, chunk: Chunk) -> list[Chunk]:
    """Two chunks that hold what `chunk` holds, cut at the best place near its middle; none if it cannot be cut.

    For a chunk that the server finds too long, whatever the count said.
    """
    middle = (chunk.start + chunk.end) // 2
    cut = best_cut(document.text, chunk.start, middle, chunk.end, PROSE)
    spans = [stripped(document.text, chunk.start, cut), stripped(document.text, cut, chunk.end)]
    if any(start >= end for start, end in spans):
        return []
    lines = LineIndex(document)
    context = chunk.embedded_text[: len(chunk.embedded_text) - len(chunk.text)]
    if len(context) > middle - chunk.start:
        context = ""
    return [_record(document, lines, start, end, chunk.heading_path, context) for start, end in spans]


def _checked(name: str, spans: Iterator[Span], document: Document) -> Iterator[Span]:
    """The spans as they come. Raises PipelineError once they go back, or leave out text of a block."""
    text, done = document.text, 0
    blocks = iter(document.blocks)
    block = next(blocks, None)
    for span in (*spans, Span(len(text), len(text), ())):
        if not done <= span.start <= span.end <= len(text):
            raise PipelineError(f"chunker {name!r} gives {span.start}-{span.end} after {done} in {document.path}")
        while block is not None and block.start < span.start:
            lost = text[max(done, block.start) : min(block.end, span.start)].strip()
            if lost:
                raise PipelineError(f"chunker {name!r} leaves out {lost[:40]!r} of {document.path}")
            if block.end > span.start:
                break
            block = next(blocks, None)
        if span.start < span.end:
            yield span
        done = span.end


def _repeated_from(before: Span, span: Span, budget: Budget) -> int:
    """Where a chunk starts that repeats the end of the one before, if both stand in the same section."""
    if before.path != span.path:
        return span.start
    earliest = max(before.start, budget.earliest(before.end, budget.overlap))
    start = first_cut(budget.text, earliest, before.end, PROSE) if earliest > before.start else earliest
    start, _ = stripped(budget.text, start, span.start)
    fits = budget.tokens(start, span.end) <= budget.room(span.path) + budget.overlap
    return start if fits else span.start


def _record(document: Document, lines: LineIndex, start: int, end: int, path: Path, context: str) -> Chunk:
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
        page=lines.page_at(start),
        end_page=lines.page_at(end - 1),
    )
