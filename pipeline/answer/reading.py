"""What a chat model gets to read of the hits, and the requests about it: within the context, without silent cuts.

In: a client, a chat model, a question, its hits. Out: the passages that are read, and replies about them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.answer.asking import Reply, Sampling, ask_model
from pipeline.answer.passages import (
    best_at_the_ends,
    context_for,
    context_limit,
    estimated_tokens,
    least_tokens,
    passage_budget,
    select_passages,
)
from pipeline.answer.prompt import TAILS, USUAL_PROMPT, Prompt, messages_for
from pipeline.answer.sentence_json import schema_for, text_of
from pipeline.errors import ApiError, InputTooLong, ModelNotFound, PullFailed
from pipeline.query.judges import TOP_TOKENS, probability_of_yes
from pipeline.types import Hit, Passage

if TYPE_CHECKING:
    from pipeline.api import Client

T = TypeVar("T")

ANSWER_TOKENS = 400
TEMPLATE_TOKENS = 128
"""Room for what the model's chat template puts around the messages, and for a question about an answer."""

THINKING = "thinking"
"""The capability of a model that can reason before it answers; such a model is told not to, unless that is wanted."""


class Reading:
    """A question and the passages for it, as one chat model reads them.

    The estimate of tokens decides first; where the server counts more, the context grows, then passages go. `limit` is
    the most context that the model can have; `full` says that this is what kept more passages out; `sampling` is what
    all requests share.
    """

    def __init__(
        self,
        client: Client,
        model: str,
        question: str,
        hits: Sequence[Hit],
        *,
        think: bool = False,
        prompt: Prompt | None = None,
    ) -> None:
        self._client = client
        self.model = model
        self.question = question
        self.hits = hits
        about = client.show(model)
        self.prompt: Prompt = prompt or USUAL_PROMPT
        tail = TAILS[self.prompt]
        self.limit = context_limit(about.model_info)
        answer_tokens = min(ANSWER_TOKENS, self.limit // 4)
        beside = answer_tokens + TEMPLATE_TOKENS
        room = self.limit - beside - _estimated(messages_for(question, [], tail=tail))
        budget = passage_budget(len(hits), room=room)
        self.full = budget == room
        chosen = select_passages(hits, budget=budget)
        self.passages: tuple[Passage, ...] = chosen.passages
        self.read = len(hits) - len(chosen.left_out)
        self.sampling = Sampling(
            context=context_for(_estimated(self._messages(tail)) + beside, limit=self.limit),
            answer_tokens=answer_tokens,
            think=think if THINKING in about.capabilities else None,
        )

    def answer(self, *, on_text: Callable[[str], None] | None = None) -> Reply:
        """The model's answer to the question in the form that the prompt asks for, as text with marks.

        Of an answer that comes as JSON `on_text` gets each sentence when it is whole. Raises as `ask`.
        """
        if self.prompt != "grammar":
            return self.ask(tail=TAILS[self.prompt], on_text=on_text)
        written, shown = "", ""

        def heard(piece: str) -> None:
            nonlocal written, shown
            written += piece
            text = text_of(written)
            if on_text is not None and len(text) > len(shown):
                on_text(text[len(shown) :])
                shown = text

        reply = self.ask(tail=TAILS[self.prompt], format=schema_for(self.passages), on_text=heard)
        return replace(reply, text=text_of(reply.text))

    def ask(
        self,
        *,
        tail: str = "",
        format: dict[str, Any] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reply:
        """The model's answer to the question, with `tail` after it.

        Raises ApiError if the server cannot be asked, or finds even one passage too long.
        """
        return self._fitting(
            lambda sampling: ask_model(
                self._client, self.model, self._messages(tail), sampling, format=format, on_text=on_text
            )
        )

    def yes(self, tail: str) -> float | None:
        """The probability that the model answers `tail`, which follows the question, with yes; None if it says neither.

        The prompt begins as that of `ask` does, so a server that keeps what it has read reads the passages once.
        """
        try:
            return self._fitting(lambda sampling: self._yes(tail, sampling))
        except (ModelNotFound, PullFailed, InputTooLong):
            raise
        except ApiError:
            return None

    def cut(self, reply: Reply) -> str:
        """What to say if the server has read less than the whole prompt, by its own count; else nothing."""
        prompt = "".join(message["content"] for message in self._messages(""))
        read = reply.usage.prompt_tokens
        if not 0 < read < least_tokens(prompt):
            return ""
        return (
            f"the server read {read} tokens of a prompt of about {estimated_tokens(prompt)}: it seems to have cut it "
            f"to a context smaller than the {reply.usage.context_limit} tokens that were asked for"
        )

    def _yes(self, tail: str, sampling: Sampling) -> float | None:
        reply = self._client.chat(
            self.model,
            self._messages(tail),
            options={**sampling.options, "num_predict": 1},
            think=None if sampling.think is None else False,
            logprobs=True,
            top_logprobs=TOP_TOKENS,
            truncate=False,
            shift=False,
        )
        if reply.logprobs:
            return probability_of_yes(reply.logprobs[0])
        word = reply.message.content.strip().casefold()
        return float(word.startswith("y")) if word[:1] in ("y", "n") else None

    def _fitting(self, request: Callable[[Sampling], T]) -> T:
        """The result of a request that fits; on the way the context may grow, and the last passages go."""
        while True:
            try:
                return request(self.sampling)
            except InputTooLong as error:
                if error.status != 400 or not self._smaller():
                    raise

    def _smaller(self) -> bool:
        sampling = self.sampling
        if sampling.context < self.limit:
            self.sampling = replace(sampling, context=min(2 * sampling.context, self.limit))
        elif len(self.passages) > 1:
            self.full = True
            self.passages = self.passages[:-1]
            self.read = self.passages[-1].number
        else:
            return False
        return True

    def _messages(self, tail: str) -> list[dict[str, str]]:
        return messages_for(self.question, best_at_the_ends(self.passages), tail=tail)


def _estimated(messages: Sequence[dict[str, str]]) -> int:
    return sum(estimated_tokens(message["content"]) for message in messages)
