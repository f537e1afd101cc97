"""Which hits go into the prompt, and how long they may be together.

In: ranked hits, a budget in tokens. Out: numbered Passages, and what was left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.types import Hit, Passage

BYTES_PER_TOKEN = 3
"""A cautious estimate, checked against the server's own count after the reply."""


def estimated_tokens(text: str) -> int:
    return len(text.encode()) // BYTES_PER_TOKEN + 1


def select_passages(hits: Sequence[Hit], *, budget: int) -> list[Passage]:
    """The best hits that fit `budget` tokens together, numbered from 1 in order of rank; always at least one."""
    passages: list[Passage] = []
    for hit in hits:
        cost = estimated_tokens(hit.text) + estimated_tokens(hit.heading) + 4
        if passages and cost > budget:
            break
        budget -= cost
        passages.append(Passage(number=len(passages) + 1, hit=hit))
    return passages
