"""How documents are to be cut: what a user asks for, and what a collection records.

In: a choice as it was typed, the model's limits. Out: the `ChunkSettings` by which a collection's documents are cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.chunk.settings import ChunkSettings
from pipeline.chunk.strategies import require_strategy
from pipeline.errors import UsageError

DEFAULT_CHUNK_TOKENS = 256
"""Best measured retrieval with the default model on the sample's golden questions."""

LEAST_CHUNK_TOKENS = 16
LANGUAGE = re.compile("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
MOST_OVERLAP = 0.5
"""The overlap may take up to this part of a chunk: with more, the same text would be embedded many times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkerChoice:
    """What a user asks for; None is left to the collection, or to the defaults for a new one."""

    strategy: str | None = None
    max_tokens: int | None = None
    overlap_tokens: int | None = None
    by_format: Mapping[str, str] = field(default_factory=dict[str, str])
    language: str | None = None

    def settled(self, *, limit: int, reserved_tokens: int, model: str) -> ChunkSettings:
        """The settings for a new collection, for a model that takes `limit` tokens. Raises UsageError."""
        if self.max_tokens is not None and self.max_tokens > limit:
            raise UsageError(
                f"chunks of {self.max_tokens} tokens do not fit: {model!r} takes {limit}",
                hint=f"--chunk-tokens {limit}, or another model",
            )
        settings = ChunkSettings(
            strategy=self.strategy or "structure",
            max_tokens=min(limit, self.max_tokens or DEFAULT_CHUNK_TOKENS),
            reserved_tokens=reserved_tokens,
            overlap_tokens=self.overlap_tokens or 0,
            by_format=dict(self.by_format),
            language=self.language or "auto",
        )
        if settings.overlap_tokens > MOST_OVERLAP * settings.max_tokens:
            raise UsageError(
                f"an overlap of {settings.overlap_tokens} tokens is more than half of a chunk of {settings.max_tokens}",
                hint="give a smaller overlap, or larger chunks",
            )
        return settings

    def require(self, stored: ChunkSettings, *, collection: str) -> None:
        """Raises UsageError where a collection is cut otherwise than asked."""
        pairs = (
            ("chunked by {}", self.strategy, stored.strategy),
            ("chunked to {} tokens", self.max_tokens, stored.max_tokens),
            ("chunked with an overlap of {} tokens", self.overlap_tokens, stored.overlap_tokens),
            ("chunked by format as {}", dict(self.by_format) or None, dict(stored.by_format)),
            ("read with the language {}", self.language, stored.language),
        )
        for how, asked, given in pairs:
            if asked is not None and asked != given:
                raise UsageError(
                    f"collection {collection!r} is {how.format(given)}, not {asked}",
                    hint="leave out --chunker, --chunk-tokens and --language, or index into a new collection (-c NAME)",
                )


def parse_chunker(*texts: str, max_tokens: int | None = None, language: str | None = None) -> ChunkerChoice:
    """The choice that `NAME[:TOKENS[:OVERLAP]]` and any number of `FORMAT=NAME` ask for.

    Raises UsageError for a name that no strategy has, a number that is none, or a language that is no code.
    """
    if language is not None and not LANGUAGE.fullmatch(language):
        raise UsageError(f"{language!r} is no language", hint="give a code such as de or pt-BR, auto or none")
    choice = ChunkerChoice(max_tokens=max_tokens, language=language)
    for text in texts:
        document_format, equals, name = text.partition("=")
        if equals:
            choice = replace(choice, by_format={**choice.by_format, document_format: require_strategy(name)})
            continue
        name, *numbers = text.split(":")
        if len(numbers) > 2 or not all(number.isascii() and number.isdigit() for number in numbers):
            raise UsageError(f"{text!r} is no chunker", hint="write NAME, NAME:TOKENS or NAME:TOKENS:OVERLAP")
        tokens, overlap = [*map(int, numbers), None, None][:2]
        if tokens is not None and tokens < LEAST_CHUNK_TOKENS:
            raise UsageError(f"chunks of {tokens} tokens are too small", hint=f"give {LEAST_CHUNK_TOKENS} or more")
        choice = replace(
            choice,
            strategy=require_strategy(name),
            max_tokens=tokens if tokens is not None else choice.max_tokens,
            overlap_tokens=overlap,
        )
    return choice


def stored_settings(chunker: Mapping[str, object], *, collection: str, choice: ChunkerChoice) -> ChunkSettings:
    """The settings that a collection's manifest records. Raises UsageError where `choice` asks for others."""
    settings = ChunkSettings(**chunker)  # type: ignore[arg-type]  # plain values, as they were written
    choice.require(settings, collection=collection)
    return settings
