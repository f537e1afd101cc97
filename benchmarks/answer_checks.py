"""What the checks of answers decide on the sample: statements supported or not, questions refused or not.

    pipeline index sample_corpus -c sample
    python benchmarks/answer_checks.py [--home HOME] [-c sample]

Prints the tables of docs/answering.md: 40 true and 40 false statements under several rules; the golden questions by
signals that tell whether passages can answer, each question left out of the fit in turn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import Collection, Hit, open_collection
from pipeline.answer.checking import check_sentences
from pipeline.answer.grounding import ungrounded_terms
from pipeline.answer.passages import USUAL_PASSAGES, passage_budget, select_passages
from pipeline.answer.sentences import content_words
from pipeline.evaluate.golden import GoldenQuestion, read_golden
from pipeline.query import SearchOptions
from pipeline.types import Passage

ROOT = Path(__file__).parent.parent
RULES = ((0.5, 2.0), (0.55, 2.0), (0.6, 2.0), (0.55, 0.7), (0.55, 0.75), (0.55, 0.8))
"""Score, and cosine, from which a statement counts as supported; no cosine reaches 2."""

LEAST_SCORE = 0.3
Rows = list[dict[str, Any]]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--home")
    arguments.add_argument("-c", "--collection", default="sample")
    given = arguments.parse_args()
    golden = read_golden(ROOT / "sample_corpus" / "golden.jsonl")
    with open_collection(given.collection, home=given.home) as collection:
        found = [hits_for(collection, each.question) for each in golden]
        print_statements(collection, golden, [passages for _, passages in found])
    print_refusals(golden, found)


def hits_for(collection: Collection, question: str) -> tuple[list[Hit], tuple[Passage, ...]]:
    hits = collection.find(question, SearchOptions(k=USUAL_PASSAGES, explain=True)).hits
    return hits, select_passages(hits, budget=passage_budget(len(hits), room=4096)).passages


def print_statements(collection: Collection, golden: list[GoldenQuestion], read: list[tuple[Passage, ...]]) -> None:
    claims = [json.loads(line) for line in (ROOT / "tests/answer/claims.jsonl").read_text("utf-8").splitlines()]
    rows: Rows = []
    for claim, each, passages in zip(claims, golden, read, strict=False):
        for kind in ("true", "false"):
            (found,) = check_sentences(claim[kind], each.question, passages, embedder=collection.embedder)
            invented = bool(ungrounded_terms(claim[kind], each.question, passages))
            rows.append({"true": kind == "true", "found": found, "invented": invented})
    count = {kind: sum(row["invented"] for row in rows if row["true"] is kind) for kind in (True, False)}
    print(f"numbers and names that were not read: true {count[True]}, false {count[False]} of 40")
    for score, cosine in RULES:
        kept = {True: 0, False: 0}
        for row in rows:
            similar = row["found"].similarity or 0.0
            enough = row["found"].score >= score or (similar >= cosine and row["found"].score >= LEAST_SCORE)
            kept[row["true"]] += enough and not row["invented"]
        print(f"score {score}, cosine {cosine}: true ones supported {kept[True]}, false ones {kept[False]} of 40")


def print_refusals(golden: list[GoldenQuestion], found: list[tuple[list[Hit], tuple[Passage, ...]]]) -> None:
    answerable = np.array([each.path is not None for each in golden])
    signals = [signals_of(each.question, *pair) for each, pair in zip(golden, found, strict=True)]
    for names in (
        ("cosine",),
        ("score",),
        ("deviations",),
        ("words",),
        ("cosine", "score"),
        ("deviations", "words"),
        ("cosine", "words"),
    ):
        features = np.array([[each[name] for name in names] for each in signals])
        left_out = np.array(
            [
                probability(*fit(features[others], answerable[others]), features[at])
                for at in range(len(golden))
                if (others := np.arange(len(golden)) != at) is not None
            ]
        )
        yes, no = left_out[answerable], left_out[~answerable]
        area = np.mean((yes[:, None] > no) + (yes[:, None] == no) / 2)
        print(
            f"{' and '.join(names)}: area {area:.3f}, at 0.5 right {np.sum(no < 0.5)} of {len(no)}, "
            f"wrong {np.sum(yes < 0.5)} of {len(yes)}; below 0.06 right {np.sum(no < 0.06)}, wrong {np.sum(yes < 0.06)}"
        )
    features = np.array([[each["cosine"], each["words"]] for each in signals])
    weights, mean, spread = fit(features, answerable)
    slopes = weights[:-1] / spread
    print(f"weights: cosine {slopes[0]:.1f}, words {slopes[1]:.1f}, constant {weights[-1] - slopes @ mean:.1f}")


def signals_of(question: str, hits: list[Hit], passages: tuple[Passage, ...]) -> dict[str, float]:
    asked = content_words(question)
    read = frozenset[str]().union(*(content_words(f"{item.hit.heading} {item.hit.text}") for item in passages))
    deviations = [(hit.explain or {})["dense"].detail.get("deviations", 0.0) for hit in hits]
    return {
        "cosine": max(hit.scores.dense or 0.0 for hit in hits),
        "score": hits[0].score,
        "deviations": max(deviations),
        "words": len(asked & read) / len(asked),
    }


def fit(features: Any, wanted: Any, *, penalty: float = 1.0) -> tuple[Any, Any, Any]:
    """Logistic regression by Newton's method, classes weighted alike: weights with the constant last, mean, spread."""
    mean, spread = features.mean(0), features.std(0)
    design = np.c_[(features - mean) / spread, np.ones(len(features))]
    weight = np.where(wanted, len(wanted) / (2 * wanted.sum()), len(wanted) / (2 * (~wanted).sum()))
    ridge = np.diag([penalty] * features.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (weight * (chance - wanted)) + ridge @ weights
        curve = design.T @ (design * (weight * chance * (1 - chance))[:, None]) + ridge
        weights -= np.linalg.solve(curve, slope)
    return weights, mean, spread


def probability(weights: Any, mean: Any, spread: Any, features: Any) -> float:
    return float(1 / (1 + np.exp(-((features - mean) / spread) @ weights[:-1] - weights[-1])))


if __name__ == "__main__":
    main()
