"""Stage 2: Document -> Chunks with exact source spans, within a budget of the model's own tokens."""

from pipeline.chunk.headings import embedded_text
from pipeline.chunk.structure import ChunkSettings, chunk_document, split_chunk
from pipeline.chunk.tokens import EstimateCounter, TokenCounter, WordPieceCounter, token_counter

__all__ = [
    "ChunkSettings",
    "EstimateCounter",
    "TokenCounter",
    "WordPieceCounter",
    "chunk_document",
    "embedded_text",
    "split_chunk",
    "token_counter",
]
