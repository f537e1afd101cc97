"""Whether passages can answer a question at all: an estimate from how near they are and which of its words they have.

In: a question, its hits, the passages that are read. Out: a probability, and a sentence about what it rests on. Pure.
docs/answering.md has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.answer.sentences import content_words
from pipeline.types import Hit, Passage


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Weights of a logistic regression, both classes counted alike: an embedding model has cosines of its own."""

    cosine: float
    words: float
    constant: float


CALIBRATIONS = {"all-minilm": Calibration(cosine=16.2, words=4.5, constant=-9.5)}
"""Fitted on the golden questions of the sample, 40 that it answers and 8 that it does not."""

HOPELESS_BELOW = 0.06
"""Probability below which no model is asked: nothing that answers was seen there when left out of the fit."""

DOUBTFUL_BELOW = 0.65
"""Probability below which the chat model is asked first whether the passages answer the question."""

ANSWERABLE_FROM = 0.3
"""Mean of that probability and of the model's from which a doubtful question is answered.

With qwen2.5-coder:1.5b it refuses most of what nothing answers, and nothing else, on the golden questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`cosine` is that of the nearest hit, `words` the share of the question's content words that were read."""

    probability: float
    cosine: float
    words: float

    @property
    def hopeless(self) -> bool:
        return self.probability < HOPELESS_BELOW

    @property
    def doubtful(self) -> bool:
        return self.probability < DOUBTFUL_BELOW

    def with_judgement(self, judged: float) -> float:
        """Both together, where `judged` is the chat model's own probability that the passages answer."""
        return (self.probability + judged) / 2


def evidence_of(
    question: str, hits: Sequence[Hit], passages: Sequence[Passage], *, embedding_model: str
) -> Evidence | None:
    """None for an embedding model without a calibration, for hits without cosines, and for a question without words."""
    calibration = CALIBRATIONS.get(embedding_model.removesuffix(":latest"))
    cosines = [hit.scores.dense for hit in hits if hit.scores.dense is not None]
    asked = content_words(question)
    if calibration is None or not cosines or not asked:
        return None
    read = frozenset[str]().union(*(content_words(f"{item.hit.heading} {item.hit.text}") for item in passages))
    cosine, words = max(cosines), len(asked & read) / len(asked)
    logit = calibration.cosine * cosine + calibration.words * words + calibration.constant
    return Evidence(probability=1 / (1 + math.exp(-logit)), cosine=cosine, words=words)
