"""The rows that may become hits, with what each stage made of them.

In: a scope, the words or the vector to search for, which rows are allowed. Out: candidates by falling score.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.query.fusion import Background, fused, shares, smoothed
from pipeline.query.options import Mode
from pipeline.query.scope import Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A row and its scores; a stage that did not run has None, a rank of 0 is beyond the rows that it proposed.

    `deviations` says how far the cosine stands above what is usual for the query, `share` how much of the weight of
    the query's words the row has, `own` what both make, `neighbours` what the candidates most like it have of that.
    `score` is what it is ranked by, `fused` what that was before a plan. `plan_ranks` are those that the queries of a
    plan gave it, the question's own first.
    """

    row: int
    score: float
    dense: float | None = None
    dense_rank: int = 0
    deviations: float | None = None
    lexical: float | None = None
    lexical_rank: int = 0
    share: float | None = None
    own: float | None = None
    neighbours: float | None = None
    fused: float | None = None
    fused_rank: int = 0
    plan_rank: int = 0
    plan_ranks: tuple[int, ...] = ()
    rerank: float | None = None
    rerank_rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aim:
    """What is searched for: words, and the vector that stands for them (made when it is first needed)."""

    words: str
    vector: Callable[[], NDArray[np.float32]]


class Search:
    """One query over one scope; proposes as many candidates as it is asked for."""

    def __init__(self, scope: Scope, aim: Aim, mode: Mode, allowed: NDArray[np.bool_] | None) -> None:
        self.scope = scope
        self.mode = mode
        self._aim = aim
        self._allowed = allowed
        self._near: dict[int, list[tuple[int, float]]] = {}

    def prepare(self) -> None:
        """Makes the vector, if the mode needs one, so that what is wrong with it shows now."""
        if self.mode != "lexical":
            self._vector  # noqa: B018 - made when it is first looked at

    @cached_property
    def reachable(self) -> int:
        """How many rows could become candidates at the most."""
        if self.mode == "lexical":
            return int((self._lexical[0] > 0).sum())
        return self.scope.live_rows if self._allowed is None else int((self._allowed & self.scope.live).sum())

    def candidates(self, depth: int, also: Collection[int] = ()) -> list[Candidate]:
        """The best `depth` rows of each stage that runs and the rows `also`, with scores in every stage, best first."""
        if self.mode == "dense":
            return self._dense(depth, also)
        scores, most = self._lexical
        best = self._best_lexical(depth)
        if self.mode == "lexical":
            rows = [*best.tolist(), *sorted(set(also).difference(best.tolist()))]
            part = shares(scores[rows], most)
            return [
                Candidate(
                    row=row, score=score, lexical=score, lexical_rank=rank if rank <= len(best) else 0, share=share
                )
                for rank, (row, score, share) in enumerate(
                    zip(rows, scores[rows].tolist(), part.tolist(), strict=True), start=1
                )
            ]
        return self._fused(depth, also, best, scores, most)

    def _dense(self, depth: int, also: Collection[int]) -> list[Candidate]:
        near = self._nearest(depth)
        ranked = [
            Candidate(row=row, score=score, dense=score, dense_rank=rank)
            for rank, (row, score) in enumerate(near, start=1)
        ]
        others = [
            Candidate(row=row, score=score, dense=score)
            for row, score in self._cosines(set(also) - {row for row, _ in near})
        ]
        return [*ranked, *sorted(others, key=lambda each: (-each.score, each.row))]

    def _fused(
        self,
        depth: int,
        also: Collection[int],
        best: NDArray[np.intp],
        scores: NDArray[np.float32],
        most: float,
    ) -> list[Candidate]:
        import numpy as np  # noqa: PLC0415 - heavy

        near = self._nearest(depth)
        cosines = dict(near)
        rows = np.array(sorted({*cosines, *best.tolist(), *also}), np.intp)
        if not len(rows):
            return []
        vectors = self.scope.vectors(rows.tolist())
        # Every candidate has both scores: one that only one stage proposed is looked up in the other.
        computed = (vectors @ self._vector).tolist()
        found = [cosines.get(row, cosine) for row, cosine in zip(rows.tolist(), computed, strict=True)]
        dense = np.array(found, np.float32)
        deviations = self._background.deviations(dense)
        part = shares(scores[rows], most)
        own = fused(deviations, part)
        score, neighbours = smoothed(own, vectors)
        dense_ranks = {row: rank for rank, (row, _) in enumerate(near, start=1)}
        lexical_ranks = {row: rank for rank, row in enumerate(best.tolist(), start=1)}
        return [
            Candidate(
                row=(row := int(rows[at])),
                score=float(score[at]),
                dense=float(dense[at]),
                dense_rank=dense_ranks.get(row, 0),
                deviations=float(deviations[at]),
                lexical=float(scores[row]),
                lexical_rank=lexical_ranks.get(row, 0),
                share=float(part[at]),
                own=float(own[at]),
                neighbours=float(neighbours[at]),
                fused=float(score[at]),
                fused_rank=rank,
            )
            for rank, at in enumerate(np.lexsort((rows, -score)).tolist(), start=1)
        ]

    def _cosines(self, rows: Collection[int]) -> list[tuple[int, float]]:
        """The cosines of some rows, in their order."""
        wanted = sorted(rows)
        return list(zip(wanted, (self.scope.vectors(wanted) @ self._vector).tolist(), strict=True)) if wanted else []

    @cached_property
    def _vector(self) -> NDArray[np.float32]:
        return self._aim.vector()

    @cached_property
    def _background(self) -> Background:
        return Background.of(self.scope.background(self._vector))

    def _nearest(self, depth: int) -> list[tuple[int, float]]:
        if depth not in self._near:
            self._near[depth] = self.scope.nearest(self._vector, depth, self._allowed)
        return self._near[depth]

    @cached_property
    def _lexical(self) -> tuple[NDArray[np.float32], float]:
        """BM25 of every row, 0 for those that are not allowed, and the most that it could be."""
        scores, most = self.scope.lexical.scores(self._aim.words)
        if self._allowed is not None:
            scores[~self._allowed] = 0
        return scores, most

    def _best_lexical(self, depth: int) -> NDArray[np.intp]:
        """The `depth` rows of highest BM25 that have any, best first; equal ones by place."""
        import numpy as np  # noqa: PLC0415 - heavy

        scores = self._lexical[0]
        having = np.flatnonzero(scores > 0)
        if len(having) > depth:
            # All that are as good as the last one, so that which of them come is the same at any depth.
            least = np.partition(scores[having], len(having) - depth)[len(having) - depth]
            having = having[scores[having] >= least]
        return having[np.lexsort((having, -scores[having]))][:depth]
