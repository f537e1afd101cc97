"""What a search can be asked for beside its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.errors import UsageError
from pipeline.query.plan import PLANS, PlanKind

Mode = Literal["hybrid", "dense", "lexical"]
MODES: tuple[Mode, ...] = get_args(Mode)

RERANK_SECONDS = 30.0
PLAN_SECONDS = 30.0
SECTION = "section"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How to search.

    Args:
        k: how many hits, if there are so many.
        mode: by meaning (dense), by words (lexical), or by both (hybrid).
        where: a condition on documents; see `pipeline.query.where`.
        diversity: from 0 (best first) to 1 (as different from each other as can be).
        per_document: most hits of one document.
        collapse: of passages that say the same, only the best; the others count as its `duplicates`.
        merge: neighbouring passages of a document become one hit.
        parent: what is shown around a passage that was found: `section`, or how many passages on either side.
        plan: what is searched for beside the question: see `pipeline.query.plan`.
        plan_seconds: what making the plan may take.
        rerank: a model that judges the best passages once more: see `pipeline.query.rerank`.
        rerank_seconds: what that may take.
        explain: hits say what each stage made of them.
    """

    k: int = 10
    mode: Mode = "hybrid"
    where: str | None = None
    diversity: float = 0.0
    per_document: int | None = None
    collapse: bool = False
    merge: bool = False
    parent: str | None = None
    plan: PlanKind | None = None
    plan_seconds: float = PLAN_SECONDS
    rerank: str | None = None
    rerank_seconds: float = RERANK_SECONDS
    explain: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k must be at least 1, not {self.k}")
        if self.mode not in MODES:
            raise UsageError(f"there is no mode {self.mode!r}", hint=f"choose one of {', '.join(MODES)}")
        if not 0 <= self.diversity <= 1:
            raise UsageError(f"diversity goes from 0 to 1, not {self.diversity:g}")
        if self.per_document is not None and self.per_document < 1:
            raise UsageError(f"per_document must be at least 1, not {self.per_document}")
        if self.parent is not None and self.parent != SECTION and not self.parent.isdecimal():
            raise UsageError(f"{self.parent!r} is no parent of a passage", hint="give section, or a number of passages")
        if self.parent is not None and self.merge:
            raise UsageError("merge and parent both say what is shown around a passage", hint="give one of them")
        if self.plan is not None and self.plan not in PLANS:
            raise UsageError(f"there is no plan {self.plan!r}", hint=f"choose one of {', '.join(PLANS)}")
        if not self.plan_seconds > 0:
            raise UsageError(f"the seconds for a plan must be above 0, not {self.plan_seconds:g}")
        if not self.rerank_seconds > 0:
            raise UsageError(f"the seconds for reranking must be above 0, not {self.rerank_seconds:g}")
