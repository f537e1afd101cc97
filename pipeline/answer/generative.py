"""Answers by a chat model: prompt within the context, streamed, citations checked, refusal recognised.

In: a question, its hits, a client and a chat model. Out: an Answer whose citations all resolve, and whose notices say
what the model did not get to read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.answer.citations import resolve_citations
from pipeline.answer.grounding import ungrounded_terms
from pipeline.answer.passages import (
    context_for,
    context_limit,
    estimated_tokens,
    least_tokens,
    passage_budget,
    select_passages,
)
from pipeline.answer.prompt import messages_for
from pipeline.answer.refusal import is_refusal, unanswered
from pipeline.errors import InputTooLong
from pipeline.types import Answer, Hit, Passage, Usage

if TYPE_CHECKING:
    from pipeline.api import Client

DEFAULT_CHAT_MODEL = "qwen2.5-coder:1.5b"

ANSWER_TOKENS = 400
TEMPLATE_TOKENS = 64
"""Room for what the model's chat template puts around the messages."""


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
) -> Answer:
    """Asks `model` to answer from `hits`; `on_text` is called with each piece as it arrives.

    The best hits are read, `passages_read` of them: of no more than USUAL_PASSAGES those that fit a small budget, of
    more all that the model's context holds, and a notice names the others. Without hits no model is asked.

    Raises:
        ApiError: the server cannot be asked, or the stream breaks off (StreamInterrupted holds what had come).
    """
    if not hits:
        return unanswered(question, model=model, notices=("there is no passage to answer from",))
    written = _write(client, model, question, hits, on_text)
    notices = [*_left_out(written, model, hits), *_cut(written, model)]
    answer = replace(
        unanswered(question, model=model, notices=tuple(notices)),
        hits=tuple(hits),
        usage=written.usage,
        passages_read=len(written.passages),
    )
    if is_refusal(written.text, written.passages):
        return answer
    cited = resolve_citations(written.text, written.passages)
    if cited.unknown:
        numbers = ", ".join(f"[{number}]" for number in cited.unknown)
        notices.append(f"the model cited {numbers}, which is no passage; the mark was removed")
    if not cited.citations:
        notices.append("no passage supports this answer; do not rely on it")
    if invented := ungrounded_terms(cited.text, question, written.passages):
        notices.append(f"not in the passages: {', '.join(invented)}; do not rely on this answer")
    return replace(answer, text=cited.text, answered=True, citations=cited.citations, notices=tuple(notices))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What a model wrote, from which passages; `prompt` is what it got to read.

    `limit` is the most context that the model can have, `full` says that this is what kept more passages out.
    """

    text: str
    passages: tuple[Passage, ...]
    prompt: str
    usage: Usage
    done_reason: str
    limit: int
    full: bool


def _write(
    client: Client, model: str, question: str, hits: Sequence[Hit], on_text: Callable[[str], None] | None
) -> _Written:
    """The estimate of tokens decides first; where the server counts more, the context grows, then passages go."""
    limit = context_limit(client.show(model).model_info)
    answer_tokens = min(ANSWER_TOKENS, limit // 4)
    beside = answer_tokens + TEMPLATE_TOKENS
    room = limit - beside - _estimated(messages_for(question, []))
    budget = passage_budget(len(hits), room=room)
    full = budget == room
    passages = select_passages(hits, budget=budget).passages
    messages = messages_for(question, passages)
    context = context_for(_estimated(messages) + beside, limit=limit)
    while True:
        try:
            text, usage, reason = _generate(client, model, messages, context, answer_tokens, on_text)
            break
        except InputTooLong as error:
            if error.status != 400:  # an error in mid-stream: part of an answer has been shown
                raise
            if context < limit:
                context = min(2 * context, limit)
            elif len(passages) > 1:
                full = True
                passages = passages[:-1]
                messages = messages_for(question, passages)
            else:
                raise
    prompt = "".join(message["content"] for message in messages)
    return _Written(
        text=text, passages=passages, prompt=prompt, usage=usage, done_reason=reason, limit=limit, full=full
    )


def _generate(
    client: Client,
    model: str,
    messages: Sequence[dict[str, str]],
    context: int,
    answer_tokens: int,
    on_text: Callable[[str], None] | None,
) -> tuple[str, Usage, str]:
    stream = client.chat_stream(
        model,
        messages,
        options={"num_ctx": context, "num_predict": answer_tokens, "temperature": 0, "seed": 1},
        truncate=False,
        shift=False,
    )
    pieces: list[str] = []
    usage = Usage(context_limit=context)
    reason = ""
    for chunk in stream:
        piece = chunk.message.content
        if piece:
            pieces.append(piece)
            if on_text is not None:
                on_text(piece)
        if chunk.done:
            reason = chunk.done_reason
            usage = Usage(
                prompt_tokens=chunk.prompt_eval_count or 0,
                answer_tokens=chunk.eval_count or 0,
                context_limit=context,
            )
    return "".join(pieces), usage, reason


def _estimated(messages: Sequence[dict[str, str]]) -> int:
    return sum(estimated_tokens(message["content"]) for message in messages)


def _left_out(written: _Written, model: str, hits: Sequence[Hit]) -> list[str]:
    """The notice that names the hits which were asked for and for which the context has no room."""
    used = len(written.passages)
    if used >= len(hits) or not written.full:
        return []
    which = f"{used + 1}" if used + 1 == len(hits) else f"{used + 1} to {len(hits)}"
    return [
        f"{len(hits) - used} of {len(hits)} passages did not fit and were not used ({which}): "
        f"the context of {model} holds {written.limit} tokens"
    ]


def _cut(written: _Written, model: str) -> list[str]:
    """Notices of a prompt that the server seems to have cut, and of an answer that breaks off."""
    usage = written.usage
    notices: list[str] = []
    if 0 < usage.prompt_tokens < least_tokens(written.prompt):
        notices.append(
            f"the server read {usage.prompt_tokens} tokens of a prompt of about {estimated_tokens(written.prompt)}: "
            f"it seems to have cut it to a context smaller than the {usage.context_limit} tokens that were asked for"
        )
    if written.done_reason == "length":
        full = usage.prompt_tokens + usage.answer_tokens >= usage.context_limit
        why = f"the context of {model} is full" if full else "that is the most that was asked for"
        notices.append(f"the answer breaks off after {usage.answer_tokens} tokens: {why}")
    return notices
