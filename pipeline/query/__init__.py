"""Stage 5: question -> Hits."""

from pipeline.query.documents import passages_where
from pipeline.query.judges import chat_judge, cross_encoder_judge
from pipeline.query.options import MODES, PLAN_SECONDS, RERANK_SECONDS, Mode, SearchOptions
from pipeline.query.plan import BY_RULE, PLANS, Plan, PlanKind, Planner
from pipeline.query.planners import chat_planner, rule_planner
from pipeline.query.rerank import Judge
from pipeline.query.search import Found, Searcher, Source

__all__ = [
    "BY_RULE",
    "MODES",
    "PLANS",
    "PLAN_SECONDS",
    "RERANK_SECONDS",
    "Found",
    "Judge",
    "Mode",
    "Plan",
    "PlanKind",
    "Planner",
    "SearchOptions",
    "Searcher",
    "Source",
    "chat_judge",
    "chat_planner",
    "cross_encoder_judge",
    "passages_where",
    "rule_planner",
]
