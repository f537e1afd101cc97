"""A run: every query of a test collection asked of one collection in one way, and judged.

In: a function that searches, queries with their relevant documents. Out: measures by query and their means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.evaluate.measures import DEPTH, judge, mean

if TYPE_CHECKING:
    from pipeline.types import Hit

Search = Callable[[str, int], Sequence["Hit"]]
"""`search(query, k)` gives the k best passages, best first."""

MOST_PASSAGES = 100 * DEPTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`by_query` has the measures of every query; `passages` the recall of passages, where these are judged too."""

    mode: str
    model: str
    chunker: Mapping[str, Any]
    by_query: Mapping[str, Mapping[str, float]]
    passages: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def measures(self) -> dict[str, float]:
        """The means over the queries, to four places."""
        names = next(iter(self.by_query.values()), {})
        return {name: round(mean(values[name] for values in self.by_query.values()), 4) for name in names}

    def values(self, measure: str) -> list[float]:
        """One measure, query by query."""
        return [values[measure] for values in self.by_query.values()]


def ranked_documents(search: Search, query: str, name_of: Callable[[Hit], str], depth: int = DEPTH) -> list[str]:
    """The first `depth` documents: each ranks as the best of its passages does."""
    k = depth
    while True:
        hits = search(query, k)
        documents = list(dict.fromkeys(name_of(hit) for hit in hits))
        if len(documents) >= depth or len(hits) < k or k >= MOST_PASSAGES:
            return documents[:depth]
        k *= 4


def judge_queries(
    queries: Mapping[str, str],
    relevance: Mapping[str, Mapping[str, int]],
    search: Search,
    name_of: Callable[[Hit], str],
    progress: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, float]]:
    """The measures of every query."""
    judged: dict[str, dict[str, float]] = {}
    for name, text in queries.items():
        judged[name] = judge(ranked_documents(search, text, name_of), relevance[name])
        progress()
    return judged
