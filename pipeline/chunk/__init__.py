"""Stage 2: Document -> Chunks with exact source spans, within a budget of the model's own tokens."""

from pipeline.chunk.budget import Budget
from pipeline.chunk.choice import DEFAULT_CHUNK_TOKENS, ChunkerChoice, parse_chunker, stored_settings
from pipeline.chunk.chunker import chunk_document, split_chunk
from pipeline.chunk.headings import embedded_text
from pipeline.chunk.settings import ChunkSettings
from pipeline.chunk.spans import Span
from pipeline.chunk.strategies import Strategy, is_built_in, register_strategy, strategy_names
from pipeline.chunk.tokens import (
    BytePairCounter,
    EstimateCounter,
    TokenCounter,
    Tokenizer,
    WordPieceCounter,
    token_counter,
)

__all__ = [
    "DEFAULT_CHUNK_TOKENS",
    "Budget",
    "BytePairCounter",
    "ChunkSettings",
    "ChunkerChoice",
    "EstimateCounter",
    "Span",
    "Strategy",
    "TokenCounter",
    "Tokenizer",
    "WordPieceCounter",
    "chunk_document",
    "embedded_text",
    "is_built_in",
    "parse_chunker",
    "register_strategy",
    "split_chunk",
    "stored_settings",
    "strategy_names",
    "token_counter",
]
