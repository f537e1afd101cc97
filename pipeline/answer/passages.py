"""Which hits go into the prompt, and the context that is asked for. Pure.

In: ranked hits, the context that the chat model can have. Out: numbered Passages, what was left out, `num_ctx`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.answer.prompt import source_text
from pipeline.types import Hit, Passage

BYTES_PER_TOKEN = 3
"""About what tokenizers make of prose and code; of digits and of some languages they make more tokens."""

MOST_BYTES_PER_TOKEN = 6
"""More than a tokenizer reaches over a whole prompt, runs of spaces and of signs aside. The most that was measured is
4.3, on prose and code with SmolLM2's tokenizer."""

LEAST_CONTEXT = 4096
"""What Ollama gives without a large GPU: asked for less, it would load a model again that is loaded with that."""

USUAL_PASSAGES = 5
USUAL_TOKENS = 1000
"""Tokens of passages for no more than the usual number. Small models answer better from little text, and read 50
tokens a second on two cores. Who asks for more passages gets them, as far as the model's context goes."""

REPEATED = re.compile(r"(\s)\s+|([^\w\s])\2+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`passages` are the first hits, under their rank; `left_out` the hits after them, for which there was no room."""

    passages: tuple[Passage, ...]
    left_out: tuple[Hit, ...]


def estimated_tokens(text: str) -> int:
    return len(text.encode()) // BYTES_PER_TOKEN + 1


def least_tokens(text: str) -> int:
    """Tokens that any tokenizer makes of `text` at the least; fewer were read only of a part of it."""
    return len(REPEATED.sub(r"\1\2", text).encode()) // MOST_BYTES_PER_TOKEN


def passage_budget(hit_count: int, *, room: int) -> int:
    """Tokens of passages in a prompt that has `room` for them."""
    return min(USUAL_TOKENS, room) if hit_count <= USUAL_PASSAGES else room


def select_passages(hits: Sequence[Hit], *, budget: int) -> Selection:
    """The best hits that fit `budget` tokens together, numbered from 1 in order of rank; always at least one."""
    passages: list[Passage] = []
    for number, hit in enumerate(hits, start=1):
        passage = Passage(number=number, hit=hit)
        budget -= estimated_tokens(source_text(passage)) + 1
        if passages and budget < 0:
            break
        passages.append(passage)
    return Selection(passages=tuple(passages), left_out=tuple(hits[len(passages) :]))


def context_for(tokens: int, *, limit: int) -> int:
    """`num_ctx` for a prompt and answer of `tokens`, in steps of two, so that one question more loads nothing again."""
    context = LEAST_CONTEXT
    while context < tokens:
        context *= 2
    return min(context, limit)


def context_limit(model_info: Mapping[str, Any]) -> int:
    """Tokens that a model was trained to read, from the `model_info` of `/api/show`; LEAST_CONTEXT if not said."""
    length = model_info.get(f"{model_info.get('general.architecture')}.context_length")
    if length is None:
        length = next((value for name, value in model_info.items() if name.endswith(".context_length")), None)
    return length if isinstance(length, int) and length > 0 else LEAST_CONTEXT
