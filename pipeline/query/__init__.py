"""Stage 5: question -> Hits."""

from pipeline.query.search import MODES, search

__all__ = ["MODES", "search"]
