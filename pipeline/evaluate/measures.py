"""Retrieval measures with binary relevance, as trec_eval defines them. In: relevance by rank. Out: numbers in [0, 1].

`ranked` says for each rank, best first, whether the item there is relevant; `relevant` is how many relevant items
there are in all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def ndcg(ranked: Sequence[bool], relevant: int, *, k: int) -> float:
    """nDCG@k with gain 1 and discount log2(rank + 1) (Järvelin and Kekäläinen 2002, as in trec_eval's ndcg_cut)."""
    gained = sum(1 / math.log2(rank + 1) for rank, hit in enumerate(ranked[:k], start=1) if hit)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, relevant) + 1))
    return gained / ideal if ideal else 0.0


def recall(ranked: Sequence[bool], relevant: int, *, k: int) -> float:
    """The share of the relevant items that stand in the first k ranks."""
    return sum(ranked[:k]) / relevant if relevant else 0.0


def reciprocal_rank(ranked: Sequence[bool], *, k: int | None = None) -> float:
    """1 / rank of the first relevant item among the first k; 0 if there is none."""
    return next((1 / rank for rank, hit in enumerate(ranked[:k], start=1) if hit), 0.0)


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean, 0 for none."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0
