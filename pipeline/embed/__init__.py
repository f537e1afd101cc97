"""Stage 3: Chunks -> Batches -> Vectors, through `/api/embed`."""

from pipeline.embed.assembly import Assembly, Awaited
from pipeline.embed.checks import checked_matrix
from pipeline.embed.embedder import Embedder, FailedChunk, Outcome
from pipeline.embed.identity import SPECIAL_TOKENS, ModelIdentity
from pipeline.embed.known import KnownModel, known_model

__all__ = [
    "SPECIAL_TOKENS",
    "Assembly",
    "Awaited",
    "Embedder",
    "FailedChunk",
    "KnownModel",
    "ModelIdentity",
    "Outcome",
    "checked_matrix",
    "known_model",
]
