"""Retrieval measures as trec_eval defines them. In: a ranking and what is relevant. Out: numbers in [0, 1].

A ranking is the gain of the item at each rank, best first: 0 for one that is not relevant, 1 or its grade for one that
is. The tests compare every figure with trec_eval's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

DEPTH = 100
"""Ranks that are looked at: `map` counts what stands below as not found, as trec_eval does with a run of this depth."""


def judge(ranking: Sequence[str], relevance: Mapping[str, int]) -> dict[str, float]:
    """All measures of one query: `relevance` has the grade of every relevant item; a grade of 0 or less is none."""
    gains = [max(0, relevance.get(item, 0)) for item in ranking[:DEPTH]]
    relevant = [grade for grade in relevance.values() if grade > 0]
    return {
        "ndcg@10": ndcg(gains, relevant, k=10),
        "recall@5": recall(gains, len(relevant), k=5),
        "recall@10": recall(gains, len(relevant), k=10),
        "recall@100": recall(gains, len(relevant), k=100),
        "mrr@10": reciprocal_rank(gains, k=10),
        "map": average_precision(gains, len(relevant)),
    }


def ndcg(gains: Sequence[float], relevant: Iterable[float], *, k: int) -> float:
    """nDCG@k with discount log2(rank + 1) (Järvelin and Kekäläinen 2002, as in trec_eval's ndcg_cut).

    `relevant` are the gains of all relevant items, in any order.
    """
    ideal = _discounted(sorted(relevant, reverse=True)[:k])
    return _discounted(gains[:k]) / ideal if ideal else 0.0


def recall(gains: Sequence[float], relevant: int, *, k: int) -> float:
    """The share of the relevant items that stand in the first k ranks."""
    return sum(gain > 0 for gain in gains[:k]) / relevant if relevant else 0.0


def reciprocal_rank(gains: Sequence[float], *, k: int | None = None) -> float:
    """1 / rank of the first relevant item among the first k; 0 if there is none."""
    return next((1 / rank for rank, gain in enumerate(gains[:k], start=1) if gain > 0), 0.0)


def average_precision(gains: Sequence[float], relevant: int) -> float:
    """The mean, over all relevant items, of the precision at the rank of each; 0 for one that was not found."""
    found, total = 0, 0.0
    for rank, gain in enumerate(gains, start=1):
        if gain > 0:
            found += 1
            total += found / rank
    return total / relevant if relevant else 0.0


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean, 0 for none."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
