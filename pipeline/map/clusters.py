"""Passages that say similar things, in two levels: clusters, and topics that join some of them. Both with names.

In: vectors, texts. Out: the cluster of each row, the topic of each cluster, words that tell them from the others.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.index.faiss_library import load_faiss
from pipeline.lexical import Analyzer, word_pattern
from pipeline.map.function_words import FUNCTION_WORDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLUSTER_ROWS = 12
"""Passages a cluster has on average at the least."""
MOST_CLUSTERS = 60
CLUSTERS_A_TOPIC = 4
MOST_TOPICS = 12
READ_A_CLUSTER = 200
"""So many passages of a cluster are read for its name."""
NAME_WORDS = 3
COMMON = 0.15
"""Words in a larger share of all passages that are read name nothing."""


def cluster_rows(vectors: NDArray[np.float32], *, seed: int) -> tuple[NDArray[np.int32], tuple[int, ...]]:
    """The cluster of each row, from 0 without gaps and the largest first, and the topic of each cluster.

    Spherical k-means (Dhillon and Modha, Machine Learning 2001) as FAISS has it; topics are k-means of the centres.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    count = len(vectors)
    wanted = min(MOST_CLUSTERS, math.ceil(count / CLUSTER_ROWS))
    centres, clusters = _k_means(vectors, wanted, seed)
    _, clusters = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(clusters)
    order = np.argsort(-sizes, kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    clusters = ranks[clusters].astype(np.int32)
    centres = np.stack([vectors[clusters == number].mean(axis=0) for number in range(len(order))])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    topics = min(MOST_TOPICS, math.ceil(len(centres) / CLUSTERS_A_TOPIC))
    return clusters, _by_size(_joined(centres, sizes[order], topics), sizes[order])


def _k_means(vectors: NDArray[np.float32], wanted: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    import numpy as np  # noqa: PLC0415 - heavy

    faiss = load_faiss()
    k_means = faiss.Kmeans(
        vectors.shape[1],
        wanted,
        niter=20,
        seed=seed + 1,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=512,
    )
    k_means.train(np.ascontiguousarray(vectors))
    return k_means.centroids, k_means.index.search(vectors, 1)[1][:, 0]


def _joined(centres: NDArray[np.float32], sizes: NDArray[np.int64], wanted: int) -> list[int]:
    """Joins the two groups whose union adds least to the spread, until so many are left (Ward, JASA 1963).

    The centre of a union has unit norm as the others do: without that, groups that have little in common have centres
    near the origin, and draw in one after the other.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    means, weights = centres.astype(np.float64), sizes.astype(np.float64)
    owner = list(range(len(centres)))
    alive = list(range(len(centres)))
    while len(alive) > wanted:
        part = means[alive]
        apart = ((part[:, None, :] - part[None, :, :]) ** 2).sum(axis=2)
        heavy = weights[alive]
        cost = apart * (heavy[:, None] * heavy[None, :]) / (heavy[:, None] + heavy[None, :])
        np.fill_diagonal(cost, np.inf)
        one, other = (alive[int(at)] for at in np.unravel_index(int(cost.argmin()), cost.shape))
        total = weights[one] + weights[other]
        joint = means[one] * weights[one] + means[other] * weights[other]
        means[one] = joint / max(float(np.linalg.norm(joint)), 1e-12)
        weights[one] = total
        owner = [one if group == other else group for group in owner]
        alive.remove(other)
    return owner


def _by_size(groups: Sequence[int], sizes: NDArray[np.int64]) -> tuple[int, ...]:
    """Groups numbered from 0, that with the most passages first."""
    totals: Counter[int] = Counter()
    for group, size in zip(groups, sizes.tolist(), strict=True):
        totals[group] += size
    ranks = {group: rank for rank, (group, _) in enumerate(totals.most_common())}
    return tuple(ranks[group] for group in groups)


def rows_to_read(clusters: NDArray[np.int32]) -> NDArray[np.int64]:
    """Some rows of each cluster, spread evenly, ascending."""
    import numpy as np  # noqa: PLC0415 - heavy

    order = np.argsort(clusters, kind="stable")
    starts = np.searchsorted(clusters[order], np.arange(int(clusters.max()) + 2))
    chosen = [
        order[first + np.linspace(0, last - first, min(READ_A_CLUSTER, last - first), endpoint=False).astype(np.int64)]
        for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    ]
    return np.sort(np.concatenate(chosen))


@dataclass
class Names:
    """Counts the words of passages by cluster; then names clusters and groups of them."""

    counts: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict[int, Counter[str]](Counter[str]))
    passages: Counter[int] = field(default_factory=Counter[int])
    forms: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict[str, Counter[str]](Counter[str]))
    _analyzer: Analyzer = field(default_factory=Analyzer)

    def add(self, cluster: int, text: str) -> None:
        found = {pair for word in set(word_pattern().findall(text)) for pair in self._terms(word)}
        self.counts[cluster].update({term for term, _ in found})
        self.passages[cluster] += 1
        for term, form in found:
            self.forms[term][form] += 1

    def _terms(self, word: str) -> list[tuple[str, str]]:
        """Terms that may name something, with the form to show: no numbers, no names of code, no scraps."""
        terms = self._analyzer.terms_of(word)
        if not word[0].isascii() and len(terms) > 1 and all(len(term) <= 2 for term in terms):
            return [(term, term) for term in terms if len(term) == 2]
        if len(word) < 3 or not word.isalpha() or word.casefold() in FUNCTION_WORDS:
            return []
        return [(term, word) for term in terms[:1]]

    def of(self, groups: Sequence[int]) -> list[str]:
        """The name of each group, `groups[i]` being that of cluster i.

        Class-based tf-idf (Grootendorst, BERTopic, arXiv 2203.05794): the share of a group's passages that have the
        word, times log(1 + mean words a group / passages that have the word).
        """
        total: Counter[str] = Counter()
        by_group: defaultdict[int, Counter[str]] = defaultdict(Counter[str])
        passages: Counter[int] = Counter()
        for cluster, group in enumerate(groups):
            by_group[group].update(self.counts[cluster])
            passages[group] += self.passages[cluster]
            total.update(self.counts[cluster])
        read = passages.total()
        mean = total.total() / max(1, len(by_group))
        common = COMMON * read if read >= 30 and len(by_group) > 1 else math.inf
        names: list[str] = []
        for group in range(max(groups) + 1):
            least = 2 if passages[group] > 3 else 1
            weights = {
                term: count / passages[group] * math.log1p(mean / total[term])
                for term, count in by_group[group].items()
                if least <= count and total[term] <= common
            }
            best = sorted(weights, key=lambda term: (-weights[term], term))
            names.append(", ".join(self._form(term) for term in _distinct(best)) or f"group {group + 1}")
        return names

    def _form(self, term: str) -> str:
        """As it is written most often, in small letters where it is written so as well."""
        forms: Counter[str] = Counter()
        for form, count in self.forms[term].items():
            forms[form] += count
            if form.lower() != form and form.lower() in self.forms[term]:
                forms[form.lower()] += count
        return max(forms, key=lambda form: (forms[form], form))


def _distinct(terms: Sequence[str]) -> list[str]:
    """The first few of which none is a part of another."""
    chosen: list[str] = []
    for term in terms:
        if not any(term in other or other in term for other in chosen):
            chosen.append(term)
        if len(chosen) == NAME_WORDS:
            break
    return chosen
