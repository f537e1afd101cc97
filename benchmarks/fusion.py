"""How dense and lexical scores are best fused: nDCG@10 on collections in BEIR layout, and the weight cross-validated.

A collection is a folder with `corpus.jsonl` (_id, title, text), `queries.jsonl` (_id, text) and `qrels.tsv` (query-id,
corpus-id, score; a header line). Each is indexed once with the embedded server and kept in --cache with the scores of
every query, so that fusions can be compared in seconds. Documents rank by their best passage; a document is relevant
where its score is above 0.

Prints three tables: the fusions on each collection; the same where one of the two kinds of search is made worse (the
query's vector mixed with noise; words of the query replaced by words that are nowhere), which shows what a fusion does
when one of them cannot be trusted; and the settings of `pipeline.query.fusion` (the weight of the share, what a row's
neighbours have of the say) chosen on all collections but one, with what they give on the one left out.

    python benchmarks/fusion.py FOLDER... [--cache FOLDER] [--models FOLDER]
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.evaluate import ndcg
from pipeline.lexical import LexicalIndex
from pipeline.query.fusion import LEXICAL_WEIGHT, NEIGHBOURS_PART, Background, smoothed

DEPTH = 100
NOISE = 2.5
REPLACED = 0.4
WEIGHTS = (0.0, 5.0, 7.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0)
NEIGHBOURS_PARTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """Of one query: vectors, cosines, BM25 and documents of all passages; most that BM25 could be; what is relevant."""

    vectors: Floats
    cosines: Floats
    lexical: Floats
    most: float
    documents: list[str]
    relevant: frozenset[str]


Fusion = Callable[[Scores], Floats]


def ranks(scores: Floats) -> Floats:
    order = np.empty(len(scores), np.float32)
    order[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return order


def reciprocal_ranks(query: Scores) -> Floats:
    dense, lexical = ranks(query.cosines), ranks(query.lexical)
    of_dense = np.where(dense <= DEPTH, 1 / (60 + dense), 0)
    return of_dense + np.where((lexical <= DEPTH) & (query.lexical > 0), 1 / (60 + lexical), 0)


def least_to_most(scores: Floats) -> Floats:
    """The best hundred brought to 0 to 1, as is usual."""
    ordered = np.sort(scores)[::-1]
    least = ordered[min(DEPTH, len(ordered)) - 1]
    return (scores - least) / max(float(ordered[0] - least), 1e-9)


def deviations(scores: Floats) -> Floats:
    return (scores - scores.mean()) / max(float(scores.std()), 1e-9)


def with_settings(weight: float = LEXICAL_WEIGHT, neighbours: float = NEIGHBOURS_PART) -> Fusion:
    """The product's own fusion, with other settings."""

    def fuse(query: Scores) -> Floats:
        candidates = np.union1d(np.argsort(-query.cosines)[:DEPTH], np.argsort(-query.lexical)[:DEPTH])
        deviations = Background.of(query.cosines).deviations(query.cosines[candidates])
        own = deviations + weight * query.lexical[candidates] / max(query.most, 1e-9)
        scores = np.full(len(query.cosines), -np.inf, np.float32)
        scores[candidates] = smoothed(own, query.vectors[candidates], neighbours)[0]
        return scores

    return fuse


FUSIONS: dict[str, Fusion] = {
    "dense": lambda query: query.cosines,
    "lexical (BM25)": lambda query: query.lexical,
    "reciprocal ranks, k=60": reciprocal_ranks,
    "least to most, halves": lambda query: least_to_most(query.cosines) + least_to_most(query.lexical),
    "deviations, halves": lambda query: deviations(query.cosines) + deviations(query.lexical),
    f"deviations + {LEXICAL_WEIGHT:g} shares": with_settings(neighbours=0),
    "  and drawn towards neighbours": with_settings(),
}


def quality(fuse: Fusion, queries: list[Scores]) -> float:
    """Mean nDCG@10."""
    return float(np.mean([_ndcg(fuse(query), query) for query in queries]))


def _ndcg(scores: Floats, query: Scores) -> float:
    found: dict[str, bool] = {}
    for row in np.argsort(-scores, kind="stable"):
        found.setdefault(query.documents[row], query.documents[row] in query.relevant)
        if len(found) == 10:
            break
    return ndcg(list(map(float, found.values())), [1.0] * len(query.relevant), k=10)


def read(folder: Path) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Queries and relevant documents by query id."""
    queries = {record["_id"]: record["text"] for record in _lines(folder / "queries.jsonl")}
    relevant: dict[str, set[str]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, score = line.split("\t")
        if float(score) > 0:
            relevant.setdefault(query, set()).add(document)
    return queries, relevant


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def indexed(folder: Path, cache: Path, config: Config) -> Collection:
    """The collection of a folder, indexed if it is not yet: a text file a document, named by its place."""
    texts = cache / "texts" / folder.name
    if not texts.is_dir():
        texts.mkdir(parents=True)
        for number, record in enumerate(_lines(folder / "corpus.jsonl")):
            text = f"{record.get('title', '')}\n\n{record['text']}".strip()
            (texts / f"{number}.txt").write_text(text + "\n", encoding="utf-8")
    collection = Collection(folder.name, config)
    collection.index(texts)
    return collection


def scores_of(folder: Path, cache: Path, config: Config) -> dict[str, list[Scores]]:
    """Scores of all queries with judgements: as they are, with vectors made worse, with words made worse."""
    names = [record["_id"] for record in _lines(folder / "corpus.jsonl")]
    queries, relevant = read(folder)
    with indexed(folder, cache, config) as collection:
        snapshot = collection.snapshot
        index = LexicalIndex.open([snapshot])
        live = index.live
        passages = [
            each for part in snapshot.segments for each in part.passages(np.flatnonzero(part.live_mask).tolist())
        ]
        documents = [names[int(Path(passage["path"]).stem)] for passage in passages]
        vectors = np.concatenate([segment.vectors for segment in snapshot.segments])[live]
        embedded = _embedded(collection, cache / f"{folder.name}.queries.npy", [queries[name] for name in relevant])
    random_numbers, random_words = np.random.default_rng(0), random.Random(0)
    found: dict[str, list[Scores]] = {"as they are": [], "vectors worse": [], "words worse": []}
    for name, vector in zip(relevant, embedded, strict=True):
        noise = random_numbers.standard_normal(len(vector)).astype(np.float32)
        mixed = vector + NOISE * noise / np.linalg.norm(noise)
        words = queries[name].split()
        strange = " ".join(f"qq{at}zz" if random_words.random() < REPLACED else word for at, word in enumerate(words))
        kinds = ((vector, queries[name]), (mixed / np.linalg.norm(mixed), queries[name]), (vector, strange))
        for kind, (asked, text) in zip(found.values(), kinds, strict=True):
            lexical, most = index.scores(text)
            kind.append(Scores(vectors, vectors @ asked, lexical[live], most, documents, frozenset(relevant[name])))
    return found


def _embedded(collection: Collection, path: Path, texts: list[str]) -> Floats:
    if not path.exists():
        np.save(path, np.stack([collection.embedder.embed_query(text) for text in texts]))
    return np.load(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "pipeline-fusion")
    parser.add_argument("--models", type=Path, help="model store of the embedded server")
    options = parser.parse_args()
    config = Config(home=options.cache / "home", models=options.models, host="embedded", timeout=1800.0)
    scores = {folder.name: scores_of(folder, options.cache, config) for folder in options.folders}
    for kind in ("as they are", "vectors worse", "words worse"):
        print(f"\nnDCG@10, {kind}".ljust(36), *(name.rjust(10) for name in scores))
        for name, fuse in FUSIONS.items():
            print(name.ljust(35), *(f"{quality(fuse, each[kind]):10.4f}" for each in scores.values()))
    cross_validate({name: each["as they are"] for name, each in scores.items()})


def cross_validate(scores: dict[str, list[Scores]]) -> None:
    """Prints every choice of one setting, and what the best of all choices on the others gives on each collection."""
    tried = {
        **{f"weight {each:g}": {"weight": each} for each in WEIGHTS},
        **{f"neighbours {each:g}": {"neighbours": each} for each in NEIGHBOURS_PARTS},
    }
    print("\nnDCG@10 with one setting changed".ljust(36), *(name.rjust(10) for name in scores))
    for label, settings in tried.items():
        values = [quality(with_settings(**settings), each) for each in scores.values()]
        print(label.ljust(35), *(f"{value:10.4f}" for value in values))
    grid = list(product(WEIGHTS[2:], NEIGHBOURS_PARTS))
    found = {
        settings: {name: quality(with_settings(*settings), each) for name, each in scores.items()} for settings in grid
    }
    print("\nweight, neighbours chosen on the others".ljust(54), "nDCG@10 on the one left out")
    for left_out in scores if len(scores) > 1 else ():
        best = max(grid, key=lambda each: sum(found[each][name] for name in scores if name != left_out))
        print(left_out.ljust(35), str(best).ljust(18), f"{found[best][left_out]:.4f}")


if __name__ == "__main__":
    main()
