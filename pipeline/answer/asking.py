"""One request to a chat model: streamed, its thinking kept apart, stopped when it loops, kept when it breaks off.

In: a client, a model, messages, the context. Out: a Reply that says how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.answer.repetition import repeats_from
from pipeline.errors import ApiError, StatusError
from pipeline.types import Usage

if TYPE_CHECKING:
    from pipeline.api import Client

Ending = Literal["stop", "length", "repetition", "interrupted"]
Messages = Sequence[dict[str, str]]

THINKING_TOKENS = 2048
"""Room for the reasoning of a model that was told to think, beside the answer."""

THINK_BEGINS, THINK_ENDS = "<think>", "</think>"
"""How models whose server does not tell reasoning from answer write it themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What every request about one question shares: with another `num_ctx` a server would load the model again."""

    context: int
    answer_tokens: int
    think: bool | None = None

    @property
    def options(self) -> dict[str, Any]:
        tokens = self.answer_tokens + (THINKING_TOKENS if self.think else 0)
        return {"num_ctx": self.context, "num_predict": tokens, "temperature": 0, "seed": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`failure` is the server's error where the reply was interrupted; `text` and `thinking` are what had come."""

    text: str
    thinking: str
    usage: Usage
    ending: Ending
    failure: str = ""


def ask_model(
    client: Client,
    model: str,
    messages: Messages,
    sampling: Sampling,
    *,
    format: dict[str, Any] | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Reply:
    """Streams one reply; `on_text` gets each piece of the answer as it arrives. No tools are offered to the model.

    Raises ApiError if nothing of the answer had come when the server failed.
    """
    parts = _Parts(on_text)
    usage = Usage(context_limit=sampling.context)
    ending: Ending = "stop"
    failure = ""
    stream = client.chat_stream(
        model, messages, options=sampling.options, format=format, think=sampling.think, truncate=False, shift=False
    )
    with closing(stream):
        try:
            for chunk in stream:
                parts.add(chunk.message.content, chunk.message.thinking)
                if chunk.done:
                    ending = "length" if chunk.done_reason == "length" else "stop"
                    usage = Usage(
                        prompt_tokens=chunk.prompt_eval_count or 0,
                        answer_tokens=chunk.eval_count or 0,
                        context_limit=sampling.context,
                    )
                elif parts.loop():
                    ending = "repetition"
                    break
        except ApiError as error:
            if not parts.answer.strip():
                raise
            ending = "interrupted"
            failure = error.server_text if isinstance(error, StatusError) else error.message
    parts.close()
    return Reply(text=parts.answer, thinking=parts.thinking.strip(), usage=usage, ending=ending, failure=failure)


class _Parts:
    """Takes a reply apart as it arrives: the answer, and the reasoning before it."""

    def __init__(self, on_text: Callable[[str], None] | None) -> None:
        self._on_text = on_text
        self._held = ""
        self._inside = False
        self._decided = False
        self.answer = ""
        self.thinking = ""

    def add(self, content: str, thinking: str) -> None:
        self.thinking += thinking
        if not content:
            return
        if self._decided and not self._inside:
            self._show(content)
            return
        self._held += content
        self._sort()

    def loop(self) -> bool:
        """Whether the reply has begun to repeat itself; what is kept of it then ends with the first time."""
        for name in ("answer", "thinking"):
            text: str = getattr(self, name)
            if (end := repeats_from(text)) is not None:
                setattr(self, name, text[:end])
                return True
        return False

    def close(self) -> None:
        if self._inside:
            self.thinking += self._held
        elif self._held:
            self._show(self._held)
        self._held = ""

    def _sort(self) -> None:
        if not self._decided:
            begun = self._held.lstrip()
            if len(begun) < len(THINK_BEGINS) and THINK_BEGINS.startswith(begun):
                return
            self._decided = True
            self._inside = begun.startswith(THINK_BEGINS)
            if self._inside:
                self._held = begun.removeprefix(THINK_BEGINS)
        if self._inside:
            inside, mark, after = self._held.partition(THINK_ENDS)
            if not mark:
                return
            self.thinking += inside
            self._inside = False
            self._held = after.lstrip()
        held, self._held = self._held, ""
        if held:
            self._show(held)

    def _show(self, piece: str) -> None:
        self.answer += piece
        if self._on_text is not None:
            self._on_text(piece)
