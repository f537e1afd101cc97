"""Which hits go into the prompt, and the context that is asked for. Pure.

In: ranked hits, the context that the chat model can have. Out: numbered Passages without repetitions, in the order in
which they are read; what was left out; `num_ctx`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

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

FENCE_TOKENS = 20
"""What stands around a passage in the prompt, by the estimate."""

LEAST_OVERLAP = 30
"""Characters at the end of one passage and the beginning of another from which they are the same text, not chance."""

REPEATED = re.compile(r"(\s)\s+|([^\w\s])\2+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`passages` are among the first hits, under their rank, best first; `left_out` the hits after them, without room.

    Hits before those that are left out and without a passage say only what a passage says already.
    """

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
    """The best hits that fit `budget` tokens together, numbered by rank; always at least one.

    Text that a better passage of the same document has, as passages cut with an overlap do, is in the prompt once; a
    hit that has nothing else to say costs nothing.
    """
    passages: list[Passage] = []
    for number, hit in enumerate(hits, start=1):
        fresh = _without_repetition(hit, passages)
        if fresh is None:
            continue
        budget -= estimated_tokens(fresh.text) + estimated_tokens(fresh.heading) + FENCE_TOKENS
        if passages and budget < 0:
            return Selection(passages=tuple(passages), left_out=tuple(hits[number - 1 :]))
        passages.append(Passage(number=number, hit=fresh))
    return Selection(passages=tuple(passages), left_out=())


def best_at_the_ends(passages: Sequence[Passage]) -> list[Passage]:
    """Ranks 1, 3, 5, ... 6, 4, 2 where there are more than usual; a few stay in order.

    Models find what stands at the beginning or the end of a long context, and miss what stands in its middle (Liu et
    al., Lost in the Middle, 2023).
    """
    if len(passages) <= USUAL_PASSAGES:
        return list(passages)
    return [*passages[::2], *reversed(passages[1::2])]


def _without_repetition(hit: Hit, passages: Sequence[Passage]) -> Hit | None:
    """The hit without what `passages` say word by word; None if nothing is left."""
    for passage in passages:
        known = passage.hit
        if " ".join(hit.text.split()) in " ".join(known.text.split()):
            return None
        if (hit.collection, hit.document_id) != (known.collection, known.document_id):
            continue
        if shared := _overlap(known.text, hit.text):
            kept = hit.text[shared:].lstrip("\n")
            skipped = hit.text[: len(hit.text) - len(kept)].count("\n")
            start = hit.start + len(hit.text) - len(kept)
            hit = replace(hit, text=kept, start=start, start_line=min(hit.start_line + skipped, hit.end_line))
        elif shared := _overlap(hit.text, known.text):
            kept = hit.text[:-shared].rstrip("\n")
            skipped = hit.text[len(kept) :].count("\n")
            end = hit.end - len(hit.text) + len(kept)
            hit = replace(hit, text=kept, end=end, end_line=max(hit.end_line - skipped, hit.start_line))
        if not hit.text.strip():
            return None
    return hit


def _overlap(first: str, second: str) -> int:
    """Length of the longest end of `first` with which `second` begins; 0 for less than LEAST_OVERLAP."""
    start = first.find(second[:LEAST_OVERLAP]) if len(second) >= LEAST_OVERLAP else -1
    while start >= 0:
        if second.startswith(first[start:]):
            return len(first) - start
        start = first.find(second[:LEAST_OVERLAP], start + 1)
    return 0


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
