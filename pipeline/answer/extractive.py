"""Answers without a chat model: the passages' own sentences that stand nearest to the question, quoted and cited.

In: a question, its hits, the embedder. Out: an Answer with an empty `model`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pipeline.answer.citations import quotation
from pipeline.answer.passages import USUAL_PASSAGES
from pipeline.answer.refusal import unanswered
from pipeline.answer.sentences import sentences, support
from pipeline.embed import Embedder, FailedChunk
from pipeline.types import Answer, Chunk, Citation, Hit, Sentence

PASSAGES = 3
"""Passages to quote from; who asks for more passages than usual has all of them looked through."""

QUOTES = 2
MAX_QUOTE = 400
LEXICAL_WEIGHT = 0.3
"""Weight of shared words beside the cosine similarity of sentence and question."""

ANSWERED_FROM = 0.5
"""Cosine similarity of sentence and question from which a quote counts as an answer."""


def answer_extractively(embedder: Embedder, question: str, hits: Sequence[Hit]) -> Answer:
    """Quotes the best sentences of the best passages; the notices tell of what was not looked at.

    Raises ApiError if the server cannot be asked.
    """
    used = hits if len(hits) > USUAL_PASSAGES else hits[:PASSAGES]
    notices = ["no chat model: the answer is quoted from the passages, not written"]
    if len(used) < len(hits):
        notices.append(f"only the {len(used)} best of {len(hits)} passages were looked through for a quote")
    candidates = [
        (number, hit, sentence)
        for number, hit in enumerate(used, start=1)
        for sentence in sentences(hit.text)
        if len(sentence) <= MAX_QUOTE
    ]
    cosines, failure = _cosines(embedder, question, candidates)
    if failure:
        notices.append(failure)
    answer = replace(unanswered(question, model="", notices=tuple(notices)), hits=tuple(hits), passages_read=len(used))
    scored = sorted(
        ((cosine, candidates[index]) for index, cosine in cosines.items()),
        key=lambda item: -(item[0] + LEXICAL_WEIGHT * support(question, item[1][2])),
    )
    best = [(number, hit, sentence) for cosine, (number, hit, sentence) in scored[:QUOTES] if cosine >= ANSWERED_FROM]
    if not best:
        return answer
    citations = tuple(quotation(number, hit, sentence) for number, hit, sentence in best)
    lines = [f"“{' '.join(citation.quote.split())}” [{citation.number}]" for citation in citations]
    return replace(
        answer,
        text="\n".join(lines),
        answered=True,
        citations=citations,
        sentences=tuple(_own(line, citation) for line, citation in zip(lines, citations, strict=True)),
    )


def _own(line: str, citation: Citation) -> Sentence:
    """A quote supports itself."""
    return Sentence(
        text=line,
        support="supported",
        score=1.0,
        numbers=(citation.number,),
        number=citation.number,
        path=citation.path,
        start_line=citation.start_line,
        end_line=citation.end_line,
        quote=citation.quote,
    )


def _cosines(
    embedder: Embedder, question: str, candidates: Sequence[tuple[int, Hit, str]]
) -> tuple[dict[int, float], str]:
    """Similarity to the question by index of the candidate, and a notice about those that cannot be embedded."""
    if not candidates:
        return {}, ""
    asked = embedder.embed_query(question)
    cosines: dict[int, float] = {}
    failed: list[FailedChunk] = []
    index = 0
    for outcome in embedder.embed_together([_as_chunk(hit, sentence) for _, hit, sentence in candidates]):
        if isinstance(outcome, FailedChunk):
            failed.append(outcome)
            index += 1
        else:
            for cosine in (outcome.matrix @ asked).tolist():
                cosines[index] = cosine
                index += 1
    if not failed:
        return cosines, ""
    count = f"{len(failed)} of {len(candidates)} sentences" if cosines else "all sentences"
    return cosines, f"{count} were left out, {embedder.model} cannot embed them: {failed[0].error.message}"


def _as_chunk(hit: Hit, sentence: str) -> Chunk:
    """A sentence in the form in which the embedder takes texts that may fail; its offsets are those in the passage."""
    start = hit.text.find(sentence)
    line = hit.start_line + hit.text[:start].count("\n")
    return Chunk(
        chunk_id=f"{hit.chunk_id}/{start}",
        document_id=hit.document_id,
        start=start,
        end=start + len(sentence),
        text=sentence,
        heading_path=(),
        start_line=line,
        end_line=line + sentence.count("\n"),
        embedded_text=sentence,
        content_hash=hashlib.blake2b(sentence.encode(), digest_size=16).digest(),
    )
