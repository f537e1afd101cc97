"""The searches that a plan asks for, over one scope, as one: every row that one of them proposes has a score in each.

In: the question's own search, those of the plan. Out: candidates by falling score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pipeline.query.candidates import Candidate, Search


class PlannedSearch:
    """The question's search and those of the plan: a row's score is the mean of its own and of its best in the plan.

    The scores of the stages are those for the question itself. A part of the plan that could not be searched for is
    None, and gives every row the rank 0.
    """

    def __init__(self, question: Search, plan: Sequence[Search | None]) -> None:
        self._question = question
        self._plan = plan

    @property
    def reachable(self) -> int:
        """How many rows could become candidates at the most."""
        return max(search.reachable for search in (self._question, *self._plan) if search is not None)

    def candidates(self, depth: int) -> list[Candidate]:
        """What the searches propose, `depth` rows each, best first."""
        searches = (self._question, *self._plan)
        proposed = {each.row for search in searches if search is not None for each in search.candidates(depth)}
        own = self._question.candidates(depth, proposed)
        ranks = {each.row: [rank] for rank, each in enumerate(own, start=1)}
        best = dict.fromkeys(ranks, -math.inf)
        for search in self._plan:
            found = search.candidates(depth, proposed) if search is not None else []
            places = {each.row: (rank, comparable(each)) for rank, each in enumerate(found, start=1)}
            for row, known in ranks.items():
                rank, score = places.get(row, (0, -math.inf))
                known.append(rank)
                best[row] = max(best[row], score)
        scored = [
            replace(each, score=(comparable(each) + best[each.row]) / 2, plan_ranks=tuple(ranks[each.row]))
            for each in own
        ]
        ordered = sorted(scored, key=lambda each: (-each.score, each.plan_ranks[0]))
        return [replace(each, plan_rank=rank) for rank, each in enumerate(ordered, start=1)]


def comparable(candidate: Candidate) -> float:
    """A score that means the same for different queries: BM25 grows with their words, the share of it does not."""
    return (candidate.share or 0.0) if candidate.dense is None else candidate.score
