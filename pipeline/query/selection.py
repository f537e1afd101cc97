"""Which candidates become hits, beyond taking the best: caps, duplicates, neighbours, diversity.

In: candidates by falling score, what is stored of them. Out: groups of rows, each of which makes one hit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.lexical import folded, word_pattern
from pipeline.query.candidates import Candidate
from pipeline.query.options import SearchOptions
from pipeline.query.parents import parent_of
from pipeline.query.scope import Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHINGLE = 3
SAME_TEXT = 0.8
"""Two passages say the same when they share so many of their runs of three words (Jaccard)."""


@dataclass(slots=True, kw_only=True, eq=False)
class Group:
    """A candidate that becomes a hit, the neighbours that join it, and the passages that say the same.

    `rows` has segment and row in it of the candidate and its neighbours.
    """

    candidate: Candidate
    passage: dict[str, Any]
    rows: set[tuple[int, int]]
    joined: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    duplicates: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    shingles: frozenset[tuple[str, ...]] = frozenset()


def needs_passages(options: SearchOptions) -> bool:
    """Whether choosing looks at more than scores."""
    widened = options.merge or options.parent
    return bool(options.per_document or options.collapse or widened or options.diversity)


def select(candidates: Sequence[Candidate], scope: Scope, options: SearchOptions) -> list[Group]:
    """At most `options.k` groups, best first."""
    if options.diversity:
        candidates = _diversified(candidates, scope, options)
    if not needs_passages(options):
        candidates = candidates[: options.k]
    passages = scope.passages([candidate.row for candidate in candidates])
    groups: list[Group] = []
    per_document: Counter[str] = Counter()
    shown: set[tuple[int, int]] = set()
    for candidate, passage in zip(candidates, passages, strict=True):
        group = Group(candidate=candidate, passage=passage, rows={scope.place(candidate.row)})
        if group.rows <= shown or (options.merge and _join(groups, group)):
            continue
        if options.collapse:
            group.shingles = _shingles(passage["text"])
            if (same := _same(groups, group)) is not None:
                same.duplicates.append(passage)
                continue
        document = passage["document_id"]
        if options.per_document and per_document[document] >= options.per_document:
            continue
        if len(groups) == options.k:
            break
        per_document[document] += 1
        groups.append(group)
        if options.parent:
            _widen(group, parent_of(scope, candidate.row, options.parent, shown))
            shown |= group.rows
    return groups


def _widen(group: Group, parent: dict[int, dict[str, Any]]) -> None:
    ((segment, number),) = group.rows
    group.rows = {(segment, at) for at in parent}
    group.joined = [passage for at, passage in parent.items() if at != number]


def _join(groups: list[Group], one: Group) -> bool:
    """Adds a passage to the hit that it stands next to in its document; two that it stands between become one."""
    ((segment, row),) = one.rows
    neighbours = ((segment, row - 1), (segment, row + 1))
    beside = [
        group
        for group in groups
        if group.passage["document_id"] == one.passage["document_id"] and not group.rows.isdisjoint(neighbours)
    ]
    if not beside:
        return False
    first, *others = beside
    for other in (one, *others):
        first.rows |= other.rows
        first.joined += [other.passage, *other.joined]
        if other is not one:
            groups.remove(other)
    return True


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = word_pattern().findall(folded(text))
    return frozenset(zip(*(words[at:] for at in range(SHINGLE)), strict=False)) or frozenset([tuple(words)])


def _same(groups: Sequence[Group], one: Group) -> Group | None:
    for group in groups:
        shared = len(group.shingles & one.shingles)
        if shared >= SAME_TEXT * (len(group.shingles) + len(one.shingles) - shared):
            return group
    return None


def _diversified(candidates: Sequence[Candidate], scope: Scope, options: SearchOptions) -> list[Candidate]:
    """Maximal marginal relevance (Carbonell and Goldstein 1998): the next one is good, and unlike those before it.

    Scores are brought to [0, 1] over the candidates, so that they weigh the same against cosines in every mode.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    scores = np.array([candidate.score for candidate in candidates], np.float32)
    if not len(scores):
        return []
    scores = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-9)
    vectors: NDArray[np.float32] = scope.vectors([candidate.row for candidate in candidates])
    closest = np.zeros(len(scores), np.float32)
    left = np.ones(len(scores), np.bool_)
    order: list[int] = []
    for _ in range(len(scores)):
        worth = np.where(left, (1 - options.diversity) * scores - options.diversity * closest, -np.inf)
        at = int(worth.argmax())
        order.append(at)
        left[at] = False
        closest = np.maximum(closest, vectors @ vectors[at])
    return [candidates[at] for at in order]
