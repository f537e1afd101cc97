"""The best candidates are judged once more, one by one, by a model that reads question and passage together.

In: candidates, a judge, a time limit. Out: candidates in the order of the judge, those first that it got to see; and
what went wrong, as a notice. A search that could not be reranked is still a search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pipeline.query.candidates import Candidate
from pipeline.query.timed import results_in_time

RERANKED = 20
"""Candidates that are judged at the most: below them the right passage is seldom found."""

LEAST_SPREAD = 1e-6
"""A judge that gives every passage the same has not read them: its template or its tokens are not what was meant."""

Judge = Callable[[str, str], float]
"""Says how well a passage answers a question; higher is better."""


def rerank(
    candidates: Sequence[Candidate], texts: Sequence[str], question: str, judge: Judge, *, seconds: float
) -> tuple[list[Candidate], list[str]]:
    """`candidates` with the first `len(texts)` of them in the judge's order, and notices.

    Where time runs out or the judge fails, those judged so far come first among themselves, the others keep their
    order behind them.
    """
    scores, problem = results_in_time(
        [partial(judge, question, text) for text in texts], seconds=seconds, name="rerank"
    )
    if len(scores) > 1 and max(scores) - min(scores) < LEAST_SPREAD:
        scores, problem = [], problem or "the model gave every passage the same score"
    judged = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    ordered = [replace(candidates[at], rerank=scores[at], rerank_rank=rank) for rank, at in enumerate(judged, start=1)]
    notices: list[str] = []
    if problem:
        notices.append(f"reranked {len(scores)} of {len(texts)} passages, the others stand as they stood: {problem}")
    return [*ordered, *candidates[len(scores) :]], notices
