"""How the rankings of a question and of its parts are best made one: scores and ranks compared.

    python benchmarks/compound.py sample_corpus /tmp/compound
    python benchmarks/plan_fusion.py /tmp/compound [--home HOME]

Takes a folder in the layout of BEIR whose questions are compound, cuts them as `--plan split` does, and fuses the same
candidates in several ways, in each mode of search. No chat model is asked.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from pipeline.config import DEFAULT_MODEL, resolve_config
from pipeline.connect import connect
from pipeline.evaluate import read_test_collection
from pipeline.evaluate.cache import DocumentFiles, cached_collection
from pipeline.evaluate.measures import judge, mean
from pipeline.query import MODES, Mode
from pipeline.query.candidates import Aim, Candidate, Search
from pipeline.query.planned import comparable
from pipeline.query.scope import Scope
from pipeline.query.split import split_question

DEPTH = 400
MEASURES = ("ndcg@10", "recall@5", "mrr@10")

Fuse = Callable[[Sequence[float], Sequence[int]], float]
"""One score from the scores and the ranks that the question, which comes first, and its parts give a passage."""


def mean_of(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def reciprocal(constant: int, scores: Sequence[float], ranks: Sequence[int]) -> float:  # noqa: ARG001 - as any Fuse
    own, *parts = (1 / (constant + rank) for rank in ranks)
    return own + mean_of(parts or [own])


WAYS: Mapping[str, Fuse] = {
    "the question alone": lambda scores, _: scores[0],
    "mean of it and the best part": lambda scores, _: (scores[0] + max(scores[1:] or scores)) / 2,
    "mean of it and the mean part": lambda scores, _: (scores[0] + mean_of(scores[1:] or scores)) / 2,
    "the best of all": lambda scores, _: max(scores),
    "reciprocal ranks, k = 10": partial(reciprocal, 10),
    "reciprocal ranks, k = 60": partial(reciprocal, 60),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--home")
    given = parser.parse_args()
    config = replace(resolve_config({"home": given.home}, environ=os.environ, folder=Path.cwd()), model=DEFAULT_MODEL)
    questions = read_test_collection(given.folder)
    files = DocumentFiles(config.home, questions)
    names = [name for name, _ in questions.documents()]
    measured: defaultdict[tuple[Mode, str], list[dict[str, float]]] = defaultdict(list)
    with cached_collection(files.home, files.folder, config, chunker="structure", connector=connect) as collection:
        scope = Scope([collection.snapshot])
        vector = cache(collection.embedder.embed_query)
        for name, question in questions.queries.items():
            for mode in MODES:
                aims = [Aim(words=text, vector=partial(vector, text)) for text in (question, *split_question(question))]
                rows = scored([Search(scope, aim, mode, None) for aim in aims])
                for way, fuse in WAYS.items():
                    order = sorted(rows, key=lambda row: -fuse(*rows[row]))
                    found = dict.fromkeys(names[int(Path(each["path"]).stem)] for each in scope.passages(order))
                    measured[mode, way].append(judge(list(found), questions.relevance[name]))
    for (mode, way), values in measured.items():
        means = "  ".join(f"{measure} {mean(each[measure] for each in values):.3f}" for measure in MEASURES)
        print(f"{mode:<8} {way:<30} {means}")


def scored(searches: Sequence[Search]) -> dict[int, tuple[list[float], list[int]]]:
    """By row the scores and the ranks in every search."""
    proposed = {each.row for search in searches for each in search.candidates(DEPTH)}
    found: list[list[Candidate]] = [search.candidates(DEPTH, proposed) for search in searches]
    rows: dict[int, tuple[list[float], list[int]]] = {row: ([], []) for row in proposed}
    for candidates in found:
        for rank, each in enumerate(candidates, start=1):
            rows[each.row][0].append(comparable(each))
            rows[each.row][1].append(rank)
    return rows


if __name__ == "__main__":
    main()
