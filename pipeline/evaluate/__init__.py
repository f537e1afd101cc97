"""How good retrieval is: golden questions against what the search returns."""

from pipeline.evaluate.golden import GoldenQuestion, evaluate_golden, read_golden
from pipeline.evaluate.measures import mean, ndcg, recall, reciprocal_rank

__all__ = ["GoldenQuestion", "evaluate_golden", "mean", "ndcg", "read_golden", "recall", "reciprocal_rank"]
