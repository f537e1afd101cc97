"""Search structures over the stored vectors, rebuildable from them."""

from pipeline.index.approximate import WORTH_AN_INDEX, ApproximateIndex, build_index
from pipeline.index.dense import search_dense
from pipeline.index.ranking import RowHit
from pipeline.types import IndexFacts

__all__ = ["WORTH_AN_INDEX", "ApproximateIndex", "IndexFacts", "RowHit", "build_index", "search_dense"]
