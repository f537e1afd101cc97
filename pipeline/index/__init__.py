"""Search structures over the stored vectors, rebuildable from them."""

from pipeline.index.exact import RowHit, search_exact

__all__ = ["RowHit", "search_exact"]
