"""A question and collections become ranked Hits: what may be found, candidates, fusion, reranking, selection.

In: snapshots with the embedders of their models, a query or a place, options. Out: `Found`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pipeline.embed import Embedder
from pipeline.errors import InputTooLong, UsageError
from pipeline.query.candidates import Aim, Candidate, Search
from pipeline.query.filters import masks_where
from pipeline.query.hits import hits_of
from pipeline.query.like import Example, example_vector, example_words, find_example
from pipeline.query.options import Mode, SearchOptions
from pipeline.query.phrases import Query, parse_query, rows_with_phrases
from pipeline.query.plan import Plan, Planner, planned
from pipeline.query.planned import PlannedSearch
from pipeline.query.rerank import RERANKED, Judge, rerank
from pipeline.query.scope import Scope
from pipeline.query.selection import needs_passages, select
from pipeline.store import Layout, Snapshot
from pipeline.types import Hit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_DEPTH = 100
"""Candidates that each stage proposes at the least: what one ranks low the other may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A collection to search, and what embeds questions for it."""

    snapshot: Snapshot
    embedder: Embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`mode` is how was searched; `notices` say what could not be done as it was asked for.

    `plan` is what was searched for beside the question, None where there was nothing.
    """

    hits: list[Hit]
    mode: Mode
    notices: tuple[str, ...] = ()
    plan: Plan | None = None

    @property
    def told(self) -> tuple[str, ...]:
        """The notices for an answer, which does not show the plan itself: they begin with what it was."""
        return (self.plan.told, *self.notices) if self.plan is not None else self.notices


class Searcher:
    """Finds hits; keeps what it has opened of collections for the next query."""

    def __init__(self) -> None:
        self._scopes: dict[tuple[Layout, ...], Scope] = {}

    def find(
        self,
        sources: Sequence[Source],
        typed: str,
        options: SearchOptions,
        *,
        like: str | None = None,
        judge: Judge | None = None,
        planner: Planner | None = None,
    ) -> Found:
        """The best hits for a query as typed, or like the passage at a place (`PATH:LINE`).

        `judge` reranks them, `planner` says what to search for beside the query.

        Collections with the same model are searched as if they were one. Those with different models have scores that
        cannot be compared: each is searched for itself, and their hits take turns.

        Raises:
            UsageError: the query is empty or too long, or a condition cannot be understood.
            ModelMismatch, DimensionMismatch: the server's model is not the collection's.
            ApiError: the server cannot be asked.
        """
        if like is None and not typed.strip():
            raise UsageError("the query is empty", hint="say what to look for")
        if like is not None and typed.strip():
            raise UsageError("a query and --like say two things", hint="give one of them")
        if like is not None and planner is not None:
            raise UsageError("--like has no question to plan for", hint="leave --plan out")
        groups = _by_model([source for source in sources if source.snapshot.manifest.live_rows])
        masks = _conditions(groups, options)
        plan, problems = None, list[str]()
        if planner is not None and groups:
            plan, problems = planned(parse_query(typed).text, planner, seconds=options.plan_seconds)
        found = [
            self._in_scope(self._scope(group), group[0].embedder, typed, options, like, judge, plan, mask)
            for group, mask in zip(groups, masks, strict=True)
        ]
        notices = list(dict.fromkeys([*problems, *(notice for each in found for notice in each.notices)]))
        if len(found) == 1:
            return replace(found[0], notices=tuple(notices), plan=plan)
        hits = _taking_turns([each.hits for each in found], options.k)
        if len(found) > 1:
            notices.append("the collections have different models: their hits take turns, scores do not compare")
        return Found(hits=hits, mode=options.mode, notices=tuple(notices), plan=plan)

    def _scope(self, group: Sequence[Source]) -> Scope:
        snapshots = tuple(source.snapshot for source in group)
        key = tuple(snapshot.layout for snapshot in snapshots)
        known = self._scopes.get(key)
        if known is None or any(new is not old for new, old in zip(snapshots, known.snapshots, strict=True)):
            known = self._scopes[key] = Scope(snapshots, known)
        return known

    def _in_scope(
        self,
        scope: Scope,
        embedder: Embedder,
        typed: str,
        options: SearchOptions,
        like: str | None,
        judge: Judge | None,
        plan: Plan | None,
        allowed: NDArray[np.bool_] | None,
    ) -> Found:
        if like is not None:
            example = find_example(scope, like)
            aim = Aim(
                words=example_words(scope, example) if options.mode != "dense" else "",
                vector=lambda: example_vector(scope, example),
            )
            allowed = _without(scope, example, allowed)
            question = "\n".join(passage["text"] for passage in scope.passages(example.rows))
        else:
            query = parse_query(typed)
            aim = Aim(words=query.text, vector=lambda: _embedded(scope, embedder, query))
            allowed = _with_phrases(scope, query, allowed)
            question = query.text
        notices: list[str] = []
        own = search = Search(scope, aim, options.mode, allowed)
        if plan is not None:
            search, notices = _with_plan(own, plan, scope, embedder, aim, options.mode, allowed)
        judged: list[Candidate] = []
        depth = max(LEAST_DEPTH, 2 * options.k)
        while True:
            candidates = search.candidates(depth)
            if judge is not None:
                if not judged:
                    judged, problems = _reranked(scope, candidates, question, judge, options)
                    notices.extend(problems)
                candidates = _behind(judged, candidates)
            groups = select(candidates, scope, options)
            # Caps and duplicates may have left fewer than there are.
            if len(groups) >= options.k or depth >= search.reachable or not needs_passages(options):
                break
            depth *= 4
        return Found(hits=hits_of(groups, scope, aim.words, options), mode=options.mode, notices=tuple(notices))


def _by_model(sources: Sequence[Source]) -> list[list[Source]]:
    groups: list[list[Source]] = []
    for source in sources:
        same = (group for group in groups if group[0].snapshot.manifest.model == source.snapshot.manifest.model)
        if (group := next(same, None)) is not None:
            group.append(source)
        else:
            groups.append([source])
    return groups


def _conditions(groups: Sequence[Sequence[Source]], options: SearchOptions) -> list[NDArray[np.bool_] | None]:
    """For each group the rows whose documents meet the condition; None where there is none."""
    if options.where is None:
        return [None] * len(groups)
    import numpy as np  # noqa: PLC0415 - heavy

    snapshots = [source.snapshot for group in groups for source in group]
    masks = iter(masks_where(snapshots, options.where))
    return [np.concatenate([mask for _ in group for mask in next(masks)]) for group in groups]


def _embedded(scope: Scope, embedder: Embedder, query: Query) -> NDArray[np.float32]:
    for snapshot in scope.snapshots:
        snapshot.require_identity(embedder.identity)
    return embedder.embed_query(query.text)


def _with_plan(
    own: Search,
    plan: Plan,
    scope: Scope,
    embedder: Embedder,
    aim: Aim,
    mode: Mode,
    allowed: NDArray[np.bool_] | None,
) -> tuple[Search | PlannedSearch, list[str]]:
    """The search with those of the plan; what the embedding model cannot take is left out, with a notice."""
    aims = [Aim(words=text, vector=partial(embedder.embed_query, text)) for text in plan.queries]
    if plan.passage:
        # Where meaning counts, the passage stands in for the question's vector; its words are made up.
        words = plan.passage if mode == "lexical" else aim.words
        aims.append(Aim(words=words, vector=lambda: embedder.embed_texts([plan.passage])[0]))
    searches: list[Search | None] = []
    notices: list[str] = []
    for each in aims:
        search = Search(scope, each, mode, allowed)
        try:
            search.prepare()
        except (UsageError, InputTooLong) as error:
            notices.append(f"a part of the plan was left out: {error.message}")
            searches.append(None)
        else:
            searches.append(search)
    return PlannedSearch(own, searches) if any(searches) else own, notices


def _with_phrases(scope: Scope, query: Query, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    if not query.phrases:
        return allowed
    having = rows_with_phrases(scope, query.phrases)
    return having if allowed is None else having & allowed


def _without(scope: Scope, example: Example, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """All that is allowed but the example itself; its whole document, where that is the example."""
    import numpy as np  # noqa: PLC0415 - heavy

    mask = np.ones(scope.rows, np.bool_) if allowed is None else allowed.copy()
    mask[example.rows] = False
    return mask


def _reranked(
    scope: Scope, candidates: Sequence[Candidate], question: str, judge: Judge, options: SearchOptions
) -> tuple[list[Candidate], list[str]]:
    """The first candidates as the judge orders them, the others behind them."""
    first = candidates[:RERANKED]
    texts = [passage["text"] for passage in scope.passages([candidate.row for candidate in first])]
    return rerank(first, texts, question, judge, seconds=options.rerank_seconds)


def _behind(judged: Sequence[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    seen = {candidate.row for candidate in judged}
    return [*judged, *(candidate for candidate in candidates if candidate.row not in seen)]


def _taking_turns(lists: Sequence[list[Hit]], k: int) -> list[Hit]:
    """The best of each list, the second best of each, and so on; where all were judged, by what the judge said."""
    hits = [hits[at] for at in range(max(map(len, lists), default=0)) for hits in lists if at < len(hits)]
    if hits and all(hit.scores.rerank is not None for hit in hits):
        hits.sort(key=lambda hit: -(hit.scores.rerank or 0.0))
    return [replace(hit, rank=rank) for rank, hit in enumerate(hits[:k], start=1)]
