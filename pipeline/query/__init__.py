"""Stage 5: question -> Hits."""

from pipeline.query.documents import passages_where
from pipeline.query.judges import chat_judge, cross_encoder_judge
from pipeline.query.options import MODES, RERANK_SECONDS, Mode, SearchOptions
from pipeline.query.rerank import Judge
from pipeline.query.search import Found, Searcher, Source

__all__ = [
    "MODES",
    "RERANK_SECONDS",
    "Found",
    "Judge",
    "Mode",
    "SearchOptions",
    "Searcher",
    "Source",
    "chat_judge",
    "cross_encoder_judge",
    "passages_where",
]
