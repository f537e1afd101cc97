"""Which hits go into a prompt and how much context is asked for: values worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.answer.passages import (
    LEAST_CONTEXT,
    best_at_the_ends,
    context_for,
    context_limit,
    estimated_tokens,
    least_tokens,
    passage_budget,
    select_passages,
)
from pipeline.types import Hit
from tests import make


def distinct(count: int) -> list[Hit]:
    """Hits of 300 letters each, which have nothing in common."""
    return [make.hit(letter * 300, rank=rank) for rank, letter in enumerate("abcdefghijkl"[:count], start=1)]


def test_passages_are_chosen_within_the_budget() -> None:
    """Passages are taken in order until the budget is spent, one is always taken, and the others are named.

    300 letters are 101 tokens by the estimate, an empty heading is 1, and 20 stand around a passage.
    """
    hits = distinct(5)
    chosen = select_passages(hits, budget=244)
    assert [(passage.number, passage.hit) for passage in chosen.passages] == [(1, hits[0]), (2, hits[1])]
    assert chosen.left_out == tuple(hits[2:])
    assert len(select_passages(hits, budget=243).passages) == 1
    assert select_passages(hits, budget=1).left_out == tuple(hits[1:])
    assert select_passages(hits, budget=10_000).left_out == ()
    assert select_passages([], budget=100).passages == ()


def test_what_a_better_passage_says_is_read_once() -> None:
    """A copy costs nothing and leaves its number unused; of an overlap each side keeps its lines."""
    first = "One stands here.\nTwo follows it, and is long enough to be no chance."
    second = "Two follows it, and is long enough to be no chance.\nThree is new."
    last = replace(make.hit(second, rank=3, line=2), start=17, end=17 + len(second))
    hits = [make.hit(first), make.hit(f"  {first}\n", rank=2, path="/copy.md"), last]
    chosen = select_passages(hits, budget=1000)
    assert [(item.number, item.hit.text) for item in chosen.passages] == [(1, first), (3, "Three is new.")]
    kept = chosen.passages[1].hit
    assert (kept.start_line, kept.end_line) == (3, 3)
    assert kept.end - kept.start == len("Three is new.")
    assert chosen.left_out == ()
    chosen = select_passages([hits[2], hits[0]], budget=1000)
    assert [item.hit.text for item in chosen.passages] == [second, "One stands here."]
    assert (chosen.passages[1].hit.start_line, chosen.passages[1].hit.end_line) == (1, 1)


def test_overlap_of_other_documents_stays() -> None:
    """Two documents that quote the same sentence are both read whole: what stands around it is not the same."""
    shared = "This sentence stands in the one and in the other."
    other = replace(make.hit(f"{shared}\nMore.", rank=2), document_id="other")
    chosen = select_passages([make.hit(f"Before.\n{shared}"), other], budget=1000)
    assert [item.hit.text for item in chosen.passages] == [f"Before.\n{shared}", f"{shared}\nMore."]


@given(st.lists(st.text(alphabet="ab\n", max_size=90), min_size=1, max_size=4))
def test_no_text_is_lost_by_packing(texts: list[str]) -> None:
    """Whatever is left out of a passage stands in a better one."""
    hits = [make.hit(text, rank=rank) for rank, text in enumerate(texts, start=1)]
    kept = [item.hit.text for item in select_passages(hits, budget=100_000).passages]
    for text in texts:
        for line in filter(str.strip, text.split("\n")):
            assert any(line in other for other in kept) or any(
                line.startswith(part) or line.endswith(part) for other in kept for part in other.split("\n") if part
            )


def test_best_passages_stand_at_the_ends_of_a_long_context() -> None:
    """Seven are read in the order 1 3 5 7 6 4 2; as few as usual stay in order."""
    passages = select_passages(distinct(7), budget=10_000).passages
    assert [item.number for item in best_at_the_ends(passages)] == [1, 3, 5, 7, 6, 4, 2]
    assert best_at_the_ends(passages[:5]) == list(passages[:5])


def test_budget_grows_with_the_passages_that_are_asked_for() -> None:
    """Up to five passages get a small budget, more of them all the room that there is; there may be less than that."""
    assert [passage_budget(count, room=7000) for count in (1, 5, 6, 50)] == [1000, 1000, 7000, 7000]
    assert [passage_budget(count, room=300) for count in (5, 6)] == [300, 300]


@pytest.mark.parametrize(
    ("tokens", "limit", "context"),
    [
        (100, 32768, LEAST_CONTEXT),
        (4096, 32768, 4096),
        (4097, 32768, 8192),
        (20_000, 32768, 32768),
        (4097, 6000, 6000),
        (100, 2048, 2048),
        (100, 512, 512),
    ],
)
def test_context_is_large_enough_and_never_more_than_the_model_has(tokens: int, limit: int, context: int) -> None:
    """The context doubles until prompt and answer fit, and ends at what the model can read."""
    assert context_for(tokens, limit=limit) == context


@pytest.mark.parametrize(
    ("model_info", "limit"),
    [
        ({"general.architecture": "qwen2", "qwen2.context_length": 32768, "clip.context_length": 77}, 32768),
        ({"llama.context_length": 2048}, 2048),
        ({"general.architecture": "qwen2"}, LEAST_CONTEXT),
        ({"llama.context_length": None}, LEAST_CONTEXT),
        ({}, LEAST_CONTEXT),
    ],
)
def test_context_limit_is_read_from_what_the_server_says_of_the_model(
    model_info: dict[str, object], limit: int
) -> None:
    """The length is that of the model's own architecture; a server that does not say gets what Ollama gives anyway."""
    assert context_limit(model_info) == limit


def test_least_tokens_lie_below_every_count_and_repetition_does_not_count() -> None:
    """Half the estimate; a table's rulers and wide indentation are few tokens, however long they are."""
    assert estimated_tokens("x" * 600) == 201
    assert least_tokens("x" * 600) == 100
    assert least_tokens("a" + " " * 600 + "-" * 600 + "b") == 0
