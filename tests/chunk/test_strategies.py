"""Chunkers by name: each keeps the promises of a chunk, code is cut at definitions, settings are checked."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chunk import (
    Budget,
    ChunkerChoice,
    ChunkSettings,
    Span,
    chunk_document,
    parse_chunker,
    register_strategy,
    stored_settings,
    strategy_names,
)
from pipeline.errors import PipelineError, UsageError
from pipeline.types import Document
from tests.chunk.test_structure import COUNTER, TEXTS, check, document_of

GO = """package keys

// Rotate replaces the signing key.
func Rotate(days int) error {
\treturn nil
}

type Store struct {
\tname string
}

func (s *Store) Open(path string) error {
\tif path == "" {
\t\treturn nil
\t}
\treturn nil
}
"""
PYTHON = '''class Ring:
    """Keys in turn."""

    def rotate(self) -> None:
        """Replace the oldest."""
        self.keys = [*self.keys[1:], new_key()]

    # Opened once.
    def open(self) -> None:
        self.ready = True
'''


def at(text: str, path: str, kind: str = "text") -> Document:
    return replace(document_of(text, kind), path=path)


def cut(document: Document, **chosen: object) -> list[tuple[str, tuple[str, ...]]]:
    chosen = {"max_tokens": 40, **chosen}
    chunks = chunk_document(document, settings=ChunkSettings(**chosen), counter=COUNTER)  # type: ignore[arg-type]
    return [(chunk.text, chunk.heading_path) for chunk in chunks]


@pytest.mark.parametrize("name", ["structure", "sentences", "fixed", "code"])
@pytest.mark.parametrize("suffix", ["md", "py", "go", "ts", "cpp"])
@given(text=TEXTS | st.sampled_from([GO * 3, PYTHON * 4]))
@settings(max_examples=25, deadline=None)
def test_invariants_hold_for_every_strategy(name: str, suffix: str, text: str) -> None:
    """Exact spans, order, full coverage and the budget hold for arbitrary Unicode, whatever cuts it."""
    document = at(text, f"/d.{suffix}", "markdown" if suffix == "md" else "text")
    chosen = ChunkSettings(strategy=name, max_tokens=40)
    check(document, list(chunk_document(document, settings=chosen, counter=COUNTER)), 40)


@pytest.mark.parametrize("name", ["structure", "sentences", "fixed"])
@given(text=TEXTS)
@settings(max_examples=25, deadline=None)
def test_overlap_stays_within_the_budget(name: str, text: str) -> None:
    """With overlap spans are still exact, in order of their starts and within the budget, and hold everything."""
    document = document_of(text)
    chosen = ChunkSettings(strategy=name, max_tokens=48, overlap_tokens=12)
    chunks = list(chunk_document(document, settings=chosen, counter=COUNTER))
    for before, chunk in pairwise(chunks):
        assert before.start <= chunk.start
        assert before.end <= chunk.end
        assert COUNTER.count(document.text[chunk.start : min(before.end, chunk.end)]) <= 12
    for chunk in chunks:
        assert document.text[chunk.start : chunk.end] == chunk.text == chunk.text.strip()
        assert COUNTER.count(chunk.embedded_text) <= 48
    held = {offset for chunk in chunks for offset in range(chunk.start, chunk.end)}
    blocks = [offset for block in document.blocks for offset in range(block.start, block.end)]
    assert [offset for offset in blocks if offset not in held and not document.text[offset].isspace()] == []


def test_overlap_repeats_the_end_of_the_chunk_before() -> None:
    """A chunk of running text starts with the last sentence of the one before, as far as that is short enough."""
    text = " ".join(f"This is sentence number {number}." for number in range(40))
    first, second = cut(document_of(text, "text"), strategy="sentences", max_tokens=60, overlap_tokens=15)[:2]
    last = first[0].rsplit("This", 1)[1]
    assert second[0].startswith(f"This{last}")


def test_fixed_fills_the_budget() -> None:
    """Every chunk but the last takes as many words as fit, whatever the paragraphs."""
    text = "\n\n".join("word " * 7 for _ in range(30))
    sizes = [COUNTER.count(chunk) for chunk, _ in cut(document_of(text, "text"), strategy="fixed")]
    assert set(sizes[:-1]) == {40}


def test_go_is_cut_at_its_definitions() -> None:
    """Functions and types are chunks under their names, a comment stays with what it speaks of."""
    found = cut(at(GO, "/keys.go"), strategy="code", max_tokens=44)
    assert [path for _, path in found][-1] == ("Open",)
    rotate = next(text for text, _ in found if "func Rotate" in text)
    assert "// Rotate replaces" in rotate
    assert rotate.endswith("}")


def test_python_is_cut_at_its_methods_under_their_class() -> None:
    """A class beyond the budget gives its methods, each whole and named after class and method."""
    found = cut(at(PYTHON, "/ring.py", "python"), strategy="code", max_tokens=44)
    opening = next((text, path) for text, path in found if "def open" in text)
    assert opening[0].startswith("# Opened once.")
    assert opening[1][0] == "Ring"


def test_broken_code_is_cut_and_loses_nothing() -> None:
    """What is no code of the language is held all the same."""
    document = at("func (((\n" * 50 + "\x00 ]] é \ud800 end", "/broken.go")
    chosen = ChunkSettings(strategy="code", max_tokens=30)
    check(document, list(chunk_document(document, settings=chosen, counter=COUNTER)), 30)


def test_a_strategy_of_ones_own_is_checked() -> None:
    """A registered function cuts; what it gives beyond the budget is cut further, and lost text is an error."""

    def whole(document: Document, _: Budget) -> Iterator[Span]:
        yield Span(0, len(document.text), ())

    def half(document: Document, _: Budget) -> Iterator[Span]:
        yield Span(0, len(document.text) // 2, ())

    def backwards(document: Document, _: Budget) -> Iterator[Span]:
        yield Span(5, 10, ())
        yield Span(0, 5, ())

    document = document_of("word " * 200, "text")
    for function in (whole, half, backwards):
        register_strategy(function.__name__, function)
    assert all(COUNTER.count(text) <= 40 for text, _ in cut(document, strategy="whole"))
    assert len(cut(document, strategy="whole")) > 5
    with pytest.raises(PipelineError, match="chunker 'half' leaves out 'word word"):
        cut(document, strategy="half")
    with pytest.raises(PipelineError, match=r"chunker 'backwards' (leaves out|gives 0-5 after 10)"):
        cut(document, strategy="backwards")
    assert strategy_names()[:4] == ["structure", "sentences", "fixed", "code"]


def test_strategies_are_chosen_by_format() -> None:
    """One collection may cut its formats in different ways."""
    chosen = parse_chunker("structure", "text=fixed").settled(limit=254, reserved_tokens=0, model="m")
    assert (chosen.strategy_for("markdown"), chosen.strategy_for("text")) == ("structure", "fixed")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ChunkerChoice()),
        (["fixed"], ChunkerChoice(strategy="fixed")),
        (["fixed:128"], ChunkerChoice(strategy="fixed", max_tokens=128)),
        (["sentences:128:32"], ChunkerChoice(strategy="sentences", max_tokens=128, overlap_tokens=32)),
        (["html=sentences"], ChunkerChoice(by_format={"html": "sentences"})),
    ],
)
def test_choices_are_read(texts: list[str], expected: ChunkerChoice) -> None:
    """NAME[:TOKENS[:OVERLAP]] and FORMAT=NAME."""
    assert parse_chunker(*texts) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("semantic", "no chunker 'semantic'"),
        ("fixed:many", "'fixed:many' is no chunker"),
        ("fixed:1:2:3", "'fixed:1:2:3' is no chunker"),
        ("fixed:8", "chunks of 8 tokens are too small"),
        ("html=magic", "no chunker 'magic'"),
    ],
)
def test_bad_choices_say_what_is_wrong(text: str, message: str) -> None:
    """Each mistake is named."""
    with pytest.raises(UsageError, match=message):
        parse_chunker(text)


def test_overlap_of_more_than_half_a_chunk_is_refused() -> None:
    """It would embed the same text many times."""
    with pytest.raises(UsageError, match="an overlap of 60 tokens is more than half of a chunk of 100"):
        parse_chunker("fixed:100:60").settled(limit=254, reserved_tokens=0, model="m")


def test_settings_of_an_older_collection_mean_what_they_meant() -> None:
    """A manifest that knows neither overlap nor formats opens, and is not taken for another one."""
    old = {"strategy": "structure", "max_tokens": 254, "reserved_tokens": 0}
    found = stored_settings(old, collection="notes", choice=parse_chunker("structure"))
    assert found == ChunkSettings()
    assert stored_settings(asdict(found), collection="notes", choice=ChunkerChoice()) == found
    with pytest.raises(UsageError, match="collection 'notes' is chunked by structure, not fixed"):
        stored_settings(old, collection="notes", choice=parse_chunker("fixed"))
