"""Stage 5: question -> Hits."""

from pipeline.query.search import search

__all__ = ["search"]
