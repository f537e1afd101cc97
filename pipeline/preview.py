"""What indexing would do, without doing it: how files would be cut, how much there is to embed, how long it may take.

In: an `Embedder` (for the model's limits and vocabulary; a few chunks are embedded for an estimate of time), paths,
what the collection already holds. Out: a `Preview` with every chunk's size, and nothing written.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.chunk import ChunkSettings, TokenCounter, parse_chunker, stored_settings, token_counter
from pipeline.embed import SPECIAL_TOKENS, Embedder
from pipeline.ingest.cut import Unread, cut_file
from pipeline.read import Found, Skipped, discover
from pipeline.store import KnownDocument, KnownDocuments, Snapshot, spans_below
from pipeline.types import Chunk

PROBED_CHUNKS = 16
"""Chunks that are embedded to measure how fast the server is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPreview:
    """A chunk as it would be embedded; `tokens` are those of heading context and text."""

    path: str
    start: int
    end: int
    start_line: int
    end_line: int
    tokens: int
    heading: str
    text: str


@dataclass(slots=True, kw_only=True)
class Preview:
    """`sizes` counts chunks by their tokens; `to_embed` counts those whose vectors are not stored yet.

    `exact` says whether the tokens are the model's own, or estimated.
    """

    settings: ChunkSettings
    exact: bool
    files: int = 0
    unchanged: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    sizes: Counter[int] = field(default_factory=Counter[int])
    to_embed: int = 0
    tokens_to_embed: int = 0
    probe: list[Chunk] = field(default_factory=list[Chunk])

    @property
    def chunks(self) -> int:
        return self.sizes.total()

    @property
    def tokens(self) -> int:
        return sum(tokens * count for tokens, count in self.sizes.items())

    def histogram(self, bins: int = 8) -> list[tuple[int, int, int]]:
        """(least tokens, most tokens, chunks) of ranges of equal width up to the budget."""
        most = max([self.settings.max_tokens, *self.sizes])
        width = -(-most // bins)
        counts = Counter[int]()
        for tokens, count in self.sizes.items():
            counts[(max(1, tokens) - 1) // width] += count
        return [(number * width + 1, (number + 1) * width, counts[number]) for number in range(bins)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """About how long embedding takes, from `probed` chunks that the server embedded at `tokens_per_second`."""

    seconds: float
    probed: int
    tokens_per_second: float


class Previewer:
    """Runs the first two stages. `chunks` is lazy; when it is exhausted, `preview` is complete.

    Raises, when it is made, UsageError for settings that are not possible or not the collection's.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        chunker: Sequence[str] = (),
        chunk_tokens: int | None = None,
        language: str | None = None,
        snapshot: Snapshot | None = None,
        strict: bool = False,
    ) -> None:
        choice = parse_chunker(*chunker, max_tokens=chunk_tokens, language=language)
        identity = embedder.identity
        self._embedder = embedder
        self._snapshot = snapshot
        self._strict = strict
        self._counter: TokenCounter = token_counter(embedder.tokenizer())
        if snapshot is not None:
            snapshot.require_identity(identity)
            settings = stored_settings(snapshot.manifest.chunker, collection=snapshot.name, choice=choice)
        else:
            settings = choice.settled(
                limit=identity.context - SPECIAL_TOKENS,
                reserved_tokens=self._counter.count(identity.document_prefix) if identity.document_prefix else 0,
                model=identity.name,
            )
        self.preview = Preview(settings=settings, exact=self._counter.exact)

    def chunks(self, paths: Sequence[Path]) -> Iterator[ChunkPreview]:
        """Every chunk of the documents that would be read. Raises UsageError for a path that does not exist."""
        found = discover(paths)
        known = KnownDocuments(self._snapshot, spans_below(str(path.absolute().resolve()) for path in paths))
        for item in found:
            if isinstance(item, Skipped):
                if item.is_failure or (item.is_suspect and (self._strict or known.see(str(item.path)))):
                    self.preview.failures.append((str(item.path), item.reason))
                else:
                    self.preview.skipped[item.reason] += 1
                continue
            self.preview.files += 1
            stored = known.see(str(item.path))
            if stored and stored.mtime_ns and (stored.mtime_ns, stored.size) == (item.mtime_ns, item.size):
                self.preview.unchanged += 1
            else:
                yield from self._chunks_of(item, stored)

    def estimate(self) -> Estimate:
        """How long the chunks seen so far would take to embed, from embedding a few of them now.

        The embedder's concurrency is not counted on: servers that work on one request at a time gain nothing by it.
        """
        probe = self.preview.probe
        if not probe:
            return Estimate(seconds=0.0, probed=0, tokens_per_second=0.0)
        # The first request may load the model, which is done once.
        self._embedder.embed_texts([probe[0].embedded_text])
        tokens = sum(self._counter.count(chunk.embedded_text) for chunk in probe)
        started = time.perf_counter()
        self._embedder.embed_texts([chunk.embedded_text for chunk in probe])
        speed = max(1, tokens) / max(1e-9, time.perf_counter() - started)
        return Estimate(
            seconds=self.preview.tokens_to_embed / speed, probed=len(probe), tokens_per_second=round(speed, 1)
        )

    def _chunks_of(self, found: Found, stored: KnownDocument | None) -> Iterator[ChunkPreview]:
        preview = self.preview
        known_hash = stored.load().row.content_hash if stored else None
        cut = cut_file(found.path, known_hash, lambda: (preview.settings, self._counter))
        if isinstance(cut, Unread):
            if cut.empty and not self._strict:
                preview.skipped[cut.message] += 1
                preview.files -= 1
            else:
                preview.failures.append((str(found.path), cut.message))
            return
        preview.unchanged += cut.unchanged
        document, chunks = cut.document, cut.chunks
        hashes = [chunk.content_hash for chunk in chunks]
        known = self._snapshot.vectors_of(hashes) if self._snapshot is not None else {}
        for chunk in chunks:
            tokens = self._counter.count(chunk.embedded_text)
            preview.sizes[tokens] += 1
            if chunk.content_hash not in known:
                preview.to_embed += 1
                preview.tokens_to_embed += tokens
                self._keep_for_probe(chunk)
            yield ChunkPreview(
                path=document.path,
                start=chunk.start,
                end=chunk.end,
                start_line=chunk.start_line,
                end_line=chunk.end_line,
                tokens=tokens,
                heading=" > ".join(chunk.heading_path),
                text=chunk.text,
            )

    def _keep_for_probe(self, chunk: Chunk) -> None:
        """Keeps a few chunks from all over: the places double when they are full."""
        preview = self.preview
        if len(preview.probe) < PROBED_CHUNKS:
            preview.probe.append(chunk)
        elif preview.to_embed & (preview.to_embed - 1) == 0:
            preview.probe[preview.to_embed.bit_length() % PROBED_CHUNKS] = chunk
