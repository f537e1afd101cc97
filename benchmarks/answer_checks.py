"""What the checks of answers decide on the sample: statements supported or not, questions refused or not.

    pipeline index sample_corpus -c sample
    python benchmarks/answer_checks.py [--home HOME] [-c sample] [--chat-model M [--golden FILE]]

Prints the tables of docs/answering.md: 40 true and 40 false statements under several rules; the golden questions by
signals that tell whether passages can answer, each question left out of the fit in turn. With a chat model, also what
its own word adds on the golden questions, or on those of FILE, which are some of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pipeline import Collection, Hit, open_collection
from pipeline.answer.checking import check_sentences
from pipeline.answer.evidence import HOPELESS_BELOW
from pipeline.answer.grounding import ungrounded_terms
from pipeline.answer.instructions import without_instructions
from pipeline.answer.passages import USUAL_PASSAGES, passage_budget, select_passages
from pipeline.answer.prompt import JUDGE_ANSWERABLE
from pipeline.answer.reading import Reading
from pipeline.answer.sentences import content_words
from pipeline.evaluate.golden import GoldenQuestion, read_golden
from pipeline.evaluate.replies import kept_replies
from pipeline.query import SearchOptions
from pipeline.types import Passage

if TYPE_CHECKING:
    from pipeline.api import Client

ROOT = Path(__file__).parent.parent
RULES = ((0.5, 2.0), (0.55, 2.0), (0.6, 2.0), (0.55, 0.7), (0.55, 0.75), (0.55, 0.8))
"""Score, and cosine, from which a statement counts as supported; no cosine reaches 2."""

LEAST_SCORE = 0.3
DOUBTFUL = (0.5, 0.65, 0.8, 0.95)
LEAST_MEANS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
"""Bounds that are tried for the evidence below which a model is asked, and for the mean from which is answered."""

Rows = list[dict[str, Any]]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--home")
    arguments.add_argument("-c", "--collection", default="sample")
    arguments.add_argument("--chat-model")
    arguments.add_argument("--golden", type=Path)
    given = arguments.parse_args()
    golden = read_golden(ROOT / "sample_corpus" / "golden.jsonl")
    with open_collection(given.collection, home=given.home) as collection:
        found = [hits_for(collection, each.question) for each in golden]
        print_statements(collection, golden, [passages for _, passages in found])
        probabilities = print_refusals(golden, found)
        if given.chat_model:
            wanted = {each.question for each in (read_golden(given.golden) if given.golden else golden)}
            rows = [
                (each.path is not None, probability, judged(collection, given.chat_model, each.question, hits))
                for each, probability, (hits, _) in zip(golden, probabilities, found, strict=True)
                if each.question in wanted
            ]
            print_judging(rows)


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


def print_refusals(golden: list[GoldenQuestion], found: list[tuple[list[Hit], tuple[Passage, ...]]]) -> list[float]:
    """Returns the probabilities by cosine and words, each question left out of the fit."""
    left_out = np.empty(0)
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
        print(
            f"{' and '.join(names)}: area {area(yes, no):.3f}, at 0.5 right {np.sum(no < 0.5)} of {len(no)}, "
            f"wrong {np.sum(yes < 0.5)} of {len(yes)}; below 0.06 right {np.sum(no < 0.06)}, wrong {np.sum(yes < 0.06)}"
        )
    features = np.array([[each["cosine"], each["words"]] for each in signals])
    weights, mean, spread = fit(features, answerable)
    slopes = weights[:-1] / spread
    print(f"weights: cosine {slopes[0]:.1f}, words {slopes[1]:.1f}, constant {weights[-1] - slopes @ mean:.1f}")
    return left_out.tolist()


def area(yes: Any, no: Any) -> float:
    """Under the curve: how often one that is answerable stands above one that is not."""
    return float(np.mean((yes[:, None] > no) + (yes[:, None] == no) / 2))


def judged(collection: Collection, model: str, question: str, hits: list[Hit]) -> float:
    """The chat model's probability that the passages answer; its replies are kept as `eval --answers` keeps them."""
    readable, _ = without_instructions(hits)
    reading = Reading(cast("Client", kept_replies(collection, model)), model, question, readable)
    found = reading.yes(JUDGE_ANSWERABLE)
    return 0.5 if found is None else found


def print_judging(rows: list[tuple[bool, float, float]]) -> None:
    """The chat model's word beside the evidence, and the bounds between which it is asked for."""
    answerable = np.array([row[0] for row in rows])
    evidence, word = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    for name, signal in (("evidence", evidence), ("word of the model", word), ("mean of both", (evidence + word) / 2)):
        yes, no = signal[answerable], signal[~answerable]
        print(
            f"{name}: area {area(yes, no):.3f}; answerable {np.quantile(yes, [0, 0.1, 0.5]).round(2)} (least, tenth, "
            f"half), others {np.quantile(no, [0.5, 0.9, 1]).round(2)} (half, nine tenths, most)"
        )
    for doubtful in DOUBTFUL:
        for least in LEAST_MEANS:
            refused = (evidence < HOPELESS_BELOW) | ((evidence < doubtful) & ((evidence + word) / 2 < least))
            asked = np.sum((evidence >= HOPELESS_BELOW) & (evidence < doubtful))
            print(
                f"asked below {doubtful}, answered from {least}: right {np.sum(refused & ~answerable)} of "
                f"{np.sum(~answerable)}, wrong {np.sum(refused & answerable)} of {np.sum(answerable)}, asked {asked}"
            )


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
