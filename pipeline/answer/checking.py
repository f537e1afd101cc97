"""Each sentence of an answer against the passages: the span that supports it best, and whether that is enough.

In: an answer's text with its marks, the question, the passages that were read; an embedder if there is one, a judge if
one is asked for. Out: Sentences. docs/answering.md has the measurements behind the thresholds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline.answer.citations import Claim, claims_of, quotation
from pipeline.answer.grounding import ungrounded_terms
from pipeline.answer.sentences import content_words, sentences
from pipeline.errors import ApiError, EmbeddingError
from pipeline.types import Answer, Passage, Sentence

if TYPE_CHECKING:
    from pipeline.embed import Embedder

logger = logging.getLogger(__name__)

SUPPORTED_FROM = 0.55
"""Score from which the words alone are enough."""

SIMILAR_FROM = 0.75
LEAST_SCORE = 0.3
"""Cosine of sentence and span from which they count as saying the same, if the score is not below the least."""

COMPARED = 6
"""Spans a sentence that are compared by meaning: those with the best scores."""

LONGEST_COMPARED = 600
"""Characters of a span that is embedded; longer ones are tables and code, where words decide."""

SAYS_NOTHING = content_words(
    "yes no true false correct sure certainly don't doesn't know according based given provided source document "
    "passage text question answer say state mention contain information"
)
"""Words with which answers refer to themselves and to what they were written from."""

Judge = Callable[[str], bool | None]
"""Whether the passages say what a sentence says; None where the judge does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    """A span of a passage: a sentence, or two that follow each other."""

    passage: Passage
    span: str
    score: float
    similarity: float | None = None

    @property
    def enough(self) -> bool:
        if self.score >= SUPPORTED_FROM:
            return True
        return self.similarity is not None and self.similarity >= SIMILAR_FROM and self.score >= LEAST_SCORE


def check_sentences(
    text: str,
    question: str,
    passages: Sequence[Passage],
    *,
    embedder: Embedder | None = None,
    judge: Judge | None = None,
) -> tuple[Sentence, ...]:
    """Finds the support of every sentence of `text` that states something; a block of code counts as one sentence.

    With an embedder, sentences whose words are not enough are compared by meaning as well; where that fails, words
    alone decide. A judge is asked for each sentence and has the last word, but for numbers and names that were not read
    anywhere: a sentence with such is not supported.
    """
    claims = [claim for claim in claims_of(text, passages) if content_words(claim.text) - SAYS_NOTHING]
    return _check(claims, question, passages, embedder, judge)


def check_statements(
    statements: Sequence[tuple[str, str]],
    question: str,
    passages: Sequence[Passage],
    *,
    embedder: Embedder | None = None,
) -> tuple[Sentence, ...]:
    """As `check_sentences`, for statements under names, which the sentences' `text` begins with."""
    claims = [Claim(sentence=f"{name}: {text}", text=text, numbers=()) for name, text in statements]
    return _check(claims, question, passages, embedder, None)


def _check(
    claims: Sequence[Claim],
    question: str,
    passages: Sequence[Passage],
    embedder: Embedder | None,
    judge: Judge | None,
) -> tuple[Sentence, ...]:
    ranked = [_ranked(claim, question, passages) for claim in claims]
    if embedder is not None:
        ranked = _compared(claims, ranked, embedder)
    return tuple(
        _checked(claim, matches, question, passages, judge) for claim, matches in zip(claims, ranked, strict=True)
    )


def marked_text(answer: Answer, mark: str = "(not supported)") -> str:
    """The text of an answer, with `mark` after every sentence that no passage supports."""
    text, at = answer.text, 0
    for sentence in answer.sentences:
        found = text.find(sentence.text, at)
        if found < 0:
            continue
        at = found + len(sentence.text)
        if sentence.support == "unsupported":
            text = f"{text[:at]} {mark}{text[at:]}"
            at += len(mark) + 1
    return text


def score_of(claim: str, question: str, source: str) -> float:
    """How much of `claim` a text says, 0 to 1: the mean of two shares of content words that the text has.

    The one is of all words of the claim, the other of those that the question does not have: an answer repeats the
    question's words whether it is right or not.
    """
    wanted, said = content_words(claim) - SAYS_NOTHING, content_words(source)
    if not wanted:
        return 0.0
    of_all = len(wanted & said) / len(wanted)
    new = wanted - content_words(question)
    return (of_all + len(new & said) / len(new)) / 2 if new else of_all


def _ranked(claim: Claim, question: str, passages: Sequence[Passage]) -> list[_Match]:
    """All spans, best first; of equals those of the passages that the sentence cites."""
    matches = [
        _Match(passage=passage, span=span, score=score_of(claim.text, question, f"{passage.hit.heading} {span}"))
        for passage in passages
        for span in _spans(passage)
    ]
    return sorted(matches, key=lambda match: (-match.score, match.passage.number not in claim.numbers, len(match.span)))


def _spans(passage: Passage) -> list[str]:
    """Sentences, and pairs of sentences as they stand together, so that "it" and "there" have what they refer to."""
    text = passage.hit.text
    single = sentences(text)
    pairs: list[str] = []
    at = 0
    for first, second in pairwise(single):
        start = text.find(first, at)
        end = text.find(second, start + len(first)) + len(second)
        pairs.append(text[start:end])
        at = start + len(first)
    return [*single, *pairs] or [text]


def _compared(claims: Sequence[Claim], ranked: list[list[_Match]], embedder: Embedder) -> list[list[_Match]]:
    """The matches with similarities, most similar first, where words are not enough."""
    wanted = {
        index: [match for match in matches if len(match.span) <= LONGEST_COMPARED][:COMPARED]
        for index, matches in enumerate(ranked)
        if matches and not matches[0].enough
    }
    texts = list(dict.fromkeys(text for index in wanted for text in (claims[index].text, *_texts(wanted[index]))))
    if not texts:
        return ranked
    try:
        matrix = embedder.embed_texts(texts)
    except (ApiError, EmbeddingError) as error:
        logger.info("sentences are checked by their words alone: %s", error)
        return ranked
    rows = {text: matrix[number] for number, text in enumerate(texts)}
    for index, matches in wanted.items():
        claim = rows[claims[index].text]
        found = [replace(match, similarity=float(rows[match.span] @ claim)) for match in matches]
        ranked[index] = sorted(found, key=lambda match: (not match.enough, -(match.similarity or 0.0))) or ranked[index]
    return ranked


def _texts(matches: Sequence[_Match]) -> list[str]:
    return [match.span for match in matches]


def _checked(
    claim: Claim, matches: Sequence[_Match], question: str, passages: Sequence[Passage], judge: Judge | None
) -> Sentence:
    if not matches:
        return Sentence(text=claim.sentence, support="unsupported", score=0.0, numbers=claim.numbers)
    best = matches[0]
    judged = judge(claim.text) if judge is not None else None
    enough = best.enough if judged is None else judged
    invented = ungrounded_terms(claim.text, question, passages)
    place = quotation(best.passage.number, best.passage.hit, best.span)
    return Sentence(
        text=claim.sentence,
        support="supported" if enough and not invented else "unsupported",
        score=round(best.score, 4),
        similarity=None if best.similarity is None else round(best.similarity, 4),
        judged=judged,
        numbers=claim.numbers,
        number=place.number,
        path=place.path,
        start_line=place.start_line,
        end_line=place.end_line,
        quote=place.quote,
    )
