"""Answers without a chat model: the passages' own sentences that stand nearest to the question, quoted and cited.

In: a question, its hits, the embedder. Out: an Answer with an empty `model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.answer.citations import quotation
from pipeline.answer.generative import REFUSAL_TEXT
from pipeline.answer.sentences import sentences, support
from pipeline.embed import Embedder
from pipeline.types import Answer, Hit, Usage

PASSAGES = 3
QUOTES = 2
MAX_QUOTE = 400
LEXICAL_WEIGHT = 0.3
"""Weight of shared words beside the cosine similarity of sentence and question."""

ANSWERED_FROM = 0.5
"""Cosine similarity of sentence and question from which a quote counts as an answer."""


def answer_extractively(embedder: Embedder, question: str, hits: Sequence[Hit]) -> Answer:
    """Quotes the best sentences of the best passages. Raises ApiError if the server cannot be asked."""
    candidates = [
        (number, hit, sentence)
        for number, hit in enumerate(hits[:PASSAGES], start=1)
        for sentence in sentences(hit.text)
        if len(sentence) <= MAX_QUOTE
    ]
    answer = Answer(
        question=question,
        text=REFUSAL_TEXT,
        answered=False,
        citations=(),
        hits=tuple(hits),
        model="",
        usage=Usage(),
        notices=("no chat model: the answer is quoted from the passages, not written",),
    )
    if not candidates:
        return answer
    vectors = embedder.embed_texts([sentence for _, _, sentence in candidates])
    cosines = vectors @ embedder.embed_query(question)
    scored = sorted(
        zip(cosines.tolist(), candidates, strict=True),
        key=lambda item: -(item[0] + LEXICAL_WEIGHT * support(question, item[1][2])),
    )
    best = [(number, hit, sentence) for cosine, (number, hit, sentence) in scored[:QUOTES] if cosine >= ANSWERED_FROM]
    if not best:
        return answer
    return replace(
        answer,
        text="\n".join(f"“{' '.join(sentence.split())}” [{number}]" for number, _, sentence in best),
        answered=True,
        citations=tuple(quotation(number, hit, sentence) for number, hit, sentence in best),
    )
