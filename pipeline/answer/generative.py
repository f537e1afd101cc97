"""Answers by a chat model: prompt within the context, streamed, citations checked, refusal recognised.

In: a question, its hits, a client and a chat model. Out: an Answer whose citations all resolve.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.answer.citations import resolve_citations
from pipeline.answer.passages import estimated_tokens, select_passages
from pipeline.answer.prompt import INSTRUCTIONS, REFUSAL, messages_for
from pipeline.errors import InputTooLong
from pipeline.types import Answer, Hit, Passage, Usage

if TYPE_CHECKING:
    from pipeline.api import ChatReply, Client

DEFAULT_CHAT_MODEL = "qwen2.5-coder:1.5b"

CONTEXT_TOKENS = 4096
"""`num_ctx` that is asked for: what Ollama itself defaults to without a large GPU, so that nothing is reloaded."""

ANSWER_TOKENS = 400
PASSAGE_TOKENS = 1000
"""Room for passages. Small models answer better from little text, and read 50 tokens a second on two cores."""

REFUSED = re.compile(
    rf"^\W*({re.escape(REFUSAL)}|i do not know|the sources do not (contain|say|mention))", re.IGNORECASE
)
REFUSAL_TEXT = "The documents that were found do not answer this question."


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

    Raises:
        ApiError: the server cannot be asked, or the stream breaks off (StreamInterrupted holds what had come).
    """
    notices: list[str] = []
    room = CONTEXT_TOKENS - ANSWER_TOKENS - estimated_tokens(INSTRUCTIONS + question) - 64
    passages = select_passages(hits, budget=min(PASSAGE_TOKENS, room))
    while True:
        try:
            text, usage = _generate(client, model, question, passages, on_text)
            break
        except InputTooLong:
            if len(passages) <= 1:
                raise
            notices.append(f"passage {len(passages)} was left out: the context of {model} is full")
            passages = passages[:-1]
    answer = Answer(
        question=question,
        text=REFUSAL_TEXT,
        answered=False,
        citations=(),
        hits=tuple(hits),
        model=model,
        usage=usage,
        notices=tuple(notices),
    )
    if REFUSED.match(text) or not text.strip():
        return answer
    cited = resolve_citations(text, passages)
    if cited.unknown:
        numbers = ", ".join(f"[{number}]" for number in cited.unknown)
        notices.append(f"the model cited {numbers}, which is no passage; the mark was removed")
    if not cited.citations:
        notices.append("no passage supports this answer; do not rely on it")
    return replace(answer, text=cited.text, answered=True, citations=cited.citations, notices=tuple(notices))


def _generate(
    client: Client,
    model: str,
    question: str,
    passages: Sequence[Passage],
    on_text: Callable[[str], None] | None,
) -> tuple[str, Usage]:
    stream: Iterator[ChatReply] = client.chat_stream(
        model,
        messages_for(question, passages),
        options={"num_ctx": CONTEXT_TOKENS, "num_predict": ANSWER_TOKENS, "temperature": 0, "seed": 1},
        truncate=False,
        shift=False,
    )
    pieces: list[str] = []
    usage = Usage(context_limit=CONTEXT_TOKENS)
    for chunk in stream:
        piece = chunk.message.content
        if piece:
            pieces.append(piece)
            if on_text is not None:
                on_text(piece)
        if chunk.done:
            usage = Usage(
                prompt_tokens=chunk.prompt_eval_count or 0,
                answer_tokens=chunk.eval_count or 0,
                context_limit=CONTEXT_TOKENS,
            )
    return "".join(pieces), usage
