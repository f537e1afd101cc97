"""Answers by a chat model: within the context, streamed, refused where nothing answers, checked by the sentence.

In: a question, its hits, a client and a chat model; an embedder for what is compared by meaning. Out: an Answer whose
citations all resolve, whose sentences say whether the passages support them, and whose notices say what was not read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.answer.asking import Reply
from pipeline.answer.checking import Judge, check_sentences
from pipeline.answer.citations import CitedText, resolve_citations
from pipeline.answer.evidence import ANSWERABLE_FROM, evidence_of
from pipeline.answer.extractive import answer_extractively
from pipeline.answer.grounding import ungrounded_terms
from pipeline.answer.instructions import without_instructions
from pipeline.answer.prompt import JUDGE_ANSWERABLE, Prompt, judge_statement
from pipeline.answer.reading import Reading
from pipeline.answer.refusal import is_refusal, unanswered
from pipeline.errors import ApiError, EmbeddingError
from pipeline.types import Answer, Hit, Sentence

if TYPE_CHECKING:
    from pipeline.api import Client
    from pipeline.embed import Embedder

logger = logging.getLogger(__name__)

DEFAULT_CHAT_MODEL = "qwen2.5-coder:1.5b"

SUPPORTED = "supported"


def choose_chat_model(client: Client, wanted: str | None) -> str:
    """`wanted`, or the default model where the server has it, or else the first model there that can chat."""
    if wanted:
        return wanted
    models = client.tags()
    names = [model.name for model in models]
    if DEFAULT_CHAT_MODEL in names:
        return DEFAULT_CHAT_MODEL
    return next((model.name for model in models if "completion" in model.capabilities), DEFAULT_CHAT_MODEL)


def answer_with_model(
    client: Client,
    model: str,
    question: str,
    hits: Sequence[Hit],
    *,
    on_text: Callable[[str], None] | None = None,
    embedder: Embedder | None = None,
    judge: bool = False,
    think: bool = False,
    prompt: Prompt | None = None,
) -> Answer:
    """Asks `model` to answer from `hits`; `on_text` is called with each piece as it arrives.

    The best hits are read, `passages_read` of them: of no more than USUAL_PASSAGES those that fit a small budget, of
    more all that the model's context holds, and a notice names the others. Without hits no model is asked.

    With `embedder`, the collection's own, no model is asked either where the passages lie too far from the question;
    sentences are compared with the passages by meaning too; and quotes take the place of an answer that no passage
    supports. `judge` has the model itself judge each sentence, `think` lets a model reason first that can;
    `prompt` is how it is asked, by default by rules alone.

    An answer that breaks off, or that the model began to repeat, is kept: `stopped` and a notice say so.

    Raises:
        ApiError: the server cannot be asked, or fails before anything of the answer has come.
    """
    if not hits:
        return unanswered(question, model=model, notices=("there is no passage to answer from",))
    begun = begin(client, model, question, hits, embedder=embedder, think=think, prompt=prompt)
    if isinstance(begun, Answer):
        return begun
    reading, withheld = begun
    reply = reading.answer(on_text=on_text)
    answer = unchecked(reading, reply, hits, withheld)
    if not reply.text.strip():
        return _instead(answer, reading, "", f"{model} wrote no answer", embedder)
    if is_refusal(reply.text, reading.passages):
        return answer
    cited = resolve_citations(reply.text, reading.passages)
    judging = _judge(reading) if judge else None
    sentences = check_sentences(cited.text, question, reading.passages, embedder=embedder, judge=judging)
    if not any(sentence.support == SUPPORTED for sentence in sentences):
        why = f"no passage supports what {model} wrote, so it was left out"
        return _instead(answer, reading, cited.text, why, embedder)
    return replace(
        answer,
        text=cited.text,
        answered=True,
        citations=cited.citations,
        sentences=sentences,
        notices=(*answer.notices, *_about_text(cited, sentences, reading)),
    )


def begin(
    client: Client,
    model: str,
    question: str,
    hits: Sequence[Hit],
    *,
    embedder: Embedder | None,
    think: bool,
    prompt: Prompt | None,
) -> Answer | tuple[Reading, list[str]]:
    """What the model is to read, with notices of what is withheld from it; or the refusal of a question in advance."""
    readable, addressed = without_instructions(hits)
    reading = Reading(client, model, question, readable, think=think, prompt=prompt)
    withheld = [
        f"{hit.path}:{hit.start_line} speaks to a language model; that part of passage {hit.rank} was withheld from it"
        for hit in addressed
        if hit.rank <= reading.read
    ]
    if refusal := _refused_before(reading, embedder):
        return replace(refusal, hits=tuple(hits), notices=(*withheld, *refusal.notices))
    return reading, withheld


def unchecked(reading: Reading, reply: Reply, hits: Sequence[Hit], withheld: Sequence[str]) -> Answer:
    """What is known of a reply before its text is looked at, as an answer that has none yet."""
    return replace(
        unanswered(reading.question, model=reading.model, notices=(*withheld, *notices_about(reading, reply))),
        hits=tuple(hits),
        usage=reply.usage,
        passages_read=reading.read,
        thinking=reply.thinking,
        stopped="" if reply.ending == "stop" else reply.ending,
    )


def _refused_before(reading: Reading, embedder: Embedder | None) -> Answer | None:
    """The refusal of a question that the passages do not answer, by how near they are and by what the model says."""
    if embedder is None:
        return None
    evidence = evidence_of(reading.question, reading.hits, reading.passages, embedding_model=embedder.model)
    if evidence is None or not evidence.doubtful:
        return None
    why = f"{evidence.words:.0%} of the question's words, cosine {evidence.cosine:.2f}"
    if evidence.hopeless:
        notice = f"the nearest passages have too little of the question ({why}); {reading.model} was not asked"
    else:
        judged = reading.yes(JUDGE_ANSWERABLE)
        if judged is None or evidence.with_judgement(judged) >= ANSWERABLE_FROM:
            return None
        notice = (
            f"the nearest passages have little of the question ({why}), and {reading.model} finds no answer in them"
        )
    refusal = unanswered(reading.question, model=reading.model, notices=(notice,))
    return replace(refusal, passages_read=reading.read)


def _judge(reading: Reading) -> Judge:
    def judge(statement: str) -> bool | None:
        probability = reading.yes(judge_statement(statement))
        return None if probability is None else probability >= 0.5

    return judge


def _instead(answer: Answer, reading: Reading, draft: str, why: str, embedder: Embedder | None) -> Answer:
    """The answer when the model's own is none: quotes that stand near the question, or that there is no answer."""
    quoted = None
    if embedder is not None:
        try:
            quoted = answer_extractively(embedder, answer.question, reading.hits)
        except (ApiError, EmbeddingError) as error:
            logger.info("the passages cannot be quoted: %s", error)
    if quoted is None or not quoted.answered:
        return replace(answer, draft=draft, notices=(*answer.notices, why))
    return replace(
        answer,
        text=quoted.text,
        answered=True,
        citations=quoted.citations,
        sentences=quoted.sentences,
        draft=draft,
        notices=(*answer.notices, f"{why}; the passages are quoted instead"),
    )


def notices_about(reading: Reading, reply: Reply) -> list[str]:
    """Notices of passages that were not read, of a prompt that was cut, and of an answer that is not whole."""
    notices: list[str] = []
    total, usage = len(reading.hits), reply.usage
    if reading.full and reading.read < total:
        first = reading.read + 1
        which = f"{first}" if first == total else f"{first} to {total}"
        notices.append(
            f"{total - reading.read} of {total} passages did not fit and were not used ({which}): "
            f"the context of {reading.model} holds {reading.limit} tokens"
        )
    if cut := reading.cut(reply):
        notices.append(cut)
    if reply.ending == "length":
        full = usage.prompt_tokens + usage.answer_tokens >= usage.context_limit
        why = f"the context of {reading.model} is full" if full else "that is the most that was asked for"
        notices.append(f"the answer breaks off after {usage.answer_tokens} tokens: {why}")
    elif reply.ending == "repetition":
        notices.append(f"{reading.model} began to repeat itself and was stopped")
    elif reply.ending == "interrupted":
        notices.append(f"the answer breaks off: {reply.failure}")
    return notices


def _about_text(cited: CitedText, sentences: Sequence[Sentence], reading: Reading) -> list[str]:
    notices: list[str] = []
    if cited.unknown:
        numbers = ", ".join(f"[{number}]" for number in cited.unknown)
        notices.append(f"the model cited {numbers}, which is no passage; the mark was removed")
    if invented := ungrounded_terms(cited.text, reading.question, reading.passages):
        notices.append(f"not in the passages: {', '.join(invented)}; do not rely on this answer")
    unsupported = sum(sentence.support != SUPPORTED for sentence in sentences)
    if unsupported:
        notices.append(f"no passage supports {unsupported} of {len(sentences)} sentences; do not rely on them")
    return notices
