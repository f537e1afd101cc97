"""A question becomes several: rewritten, taken apart, or answered by a passage that a model makes up.

In: a question, a planner. Out: a `Plan`, or why there is none; a search that could not be planned is still a search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from pipeline.query.timed import results_in_time

PlanKind = Literal["split", "decompose", "multi-query", "step-back", "hyde"]
PLANS: tuple[PlanKind, ...] = get_args(PlanKind)
BY_RULE: PlanKind = "split"
"""The one kind of plan that no chat model is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is searched for beside the question itself: `queries`, and a `passage` as one that answers it might read.

    Both are empty where the question is to be searched for as it is.
    """

    kind: PlanKind
    queries: tuple[str, ...] = ()
    passage: str = ""

    @property
    def told(self) -> str:
        return f"also searched for: {' | '.join([*self.queries, *([self.passage] if self.passage else [])])}"

    def __bool__(self) -> bool:
        return bool(self.queries or self.passage)


Planner = Callable[[str], Plan]
"""Makes a plan for a question; it may ask a model. Raises PipelineError."""


def planned(question: str, planner: Planner, *, seconds: float) -> tuple[Plan | None, list[str]]:
    """The plan, None where there is nothing to search for beside the question, and notices of what went wrong."""
    plans, problem = results_in_time([partial(planner, question)], seconds=seconds, name="plan")
    if problem:
        return None, [f"searched for the question as it is, without a plan: {problem}"]
    return plans[0] or None, []
