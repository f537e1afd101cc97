"""The best candidates are judged once more, one by one, by a model that reads question and passage together.

In: candidates, a judge, a time limit. Out: candidates in the order of the judge, those first that it got to see; and
what went wrong, as a notice. A search that could not be reranked is still a search.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.errors import PipelineError
from pipeline.query.candidates import Candidate

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
    scores, problem = _judged(texts, question, judge, seconds)
    if len(scores) > 1 and max(scores) - min(scores) < LEAST_SPREAD:
        scores, problem = [], problem or "the model gave every passage the same score"
    judged = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    ordered = [replace(candidates[at], rerank=scores[at], rerank_rank=rank) for rank, at in enumerate(judged, start=1)]
    notices: list[str] = []
    if problem:
        notices.append(f"reranked {len(scores)} of {len(texts)} passages, the others stand as they stood: {problem}")
    return [*ordered, *candidates[len(scores) :]], notices


def _judged(texts: Sequence[str], question: str, judge: Judge, seconds: float) -> tuple[list[float], str]:
    """Scores of the first texts, as many as could be had, and why not more."""
    answers: queue.SimpleQueue[float | PipelineError] = queue.SimpleQueue()
    stopped = threading.Event()

    def work() -> None:
        for text in texts:
            if stopped.is_set():
                return
            try:
                answers.put(judge(question, text))
            except PipelineError as error:
                answers.put(error)
                return

    # In a thread of its own: a request cannot be broken off, but it need not be waited for.
    threading.Thread(target=work, name="rerank", daemon=True).start()
    scores: list[float] = []
    deadline = time.monotonic() + seconds
    try:
        while len(scores) < len(texts):
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(answer, PipelineError):
                return scores, answer.message
            scores.append(answer)
    except queue.Empty:
        return scores, f"the {seconds:g} seconds for it are over"
    finally:
        stopped.set()
    return scores, ""
