"""Chunking: spans are exact, nothing is lost, the budget holds, headings lead."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chunk import ChunkSettings, EstimateCounter, chunk_document, split_chunk
from pipeline.read import read_document
from pipeline.read.formats import reader_of
from pipeline.types import Chunk, Document

COUNTER = EstimateCounter()
ROOT = Path(__file__).parent.parent.parent / "sample_corpus"
SAMPLES = sorted(path for path in ROOT.rglob("*.*") if path.suffix != ".jsonl")


def document_of(text: str, kind: str = "markdown") -> Document:
    parsed = reader_of(kind)(text)
    return Document(
        document_id="d",
        path="/d",
        format=kind,
        text=parsed.text,
        title=parsed.title,
        blocks=parsed.blocks,
        content_hash="",
        source_lines=parsed.source_lines,
    )


def chunks_of(document: Document, max_tokens: int = 60) -> list[Chunk]:
    return list(chunk_document(document, settings=ChunkSettings(max_tokens=max_tokens), counter=COUNTER))


def check(document: Document, chunks: list[Chunk], max_tokens: int) -> None:
    """The invariants that hold for every document."""
    covered = bytearray(len(document.text))
    position = 0
    for chunk in chunks:
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        assert chunk.start >= position
        position = chunk.end
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
        assert chunk.embedded_text.endswith(chunk.text)
        assert COUNTER.count(chunk.embedded_text) <= max_tokens
        assert 1 <= chunk.start_line <= chunk.end_line
    for block in document.blocks:
        lost = [
            offset
            for offset in range(block.start, block.end)
            if not covered[offset] and not document.text[offset].isspace()
        ]
        assert not lost, f"lost {document.text[lost[0] : lost[0] + 20]!r}"
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)


MARKUP = st.sampled_from(
    ["# ", "## ", "\n", "\n\n", "- ", "| a | b |\n", "|---|---|\n", "```\n", "> ", "<p>", "def f():\n"]
)
TEXTS = st.lists(MARKUP | st.text(max_size=60), max_size=40).map("".join)


@pytest.mark.parametrize("kind", ["markdown", "text", "html", "rst", "python"])
@given(text=TEXTS)
@settings(max_examples=60, deadline=None)
def test_invariants_hold_for_any_text(kind: str, text: str) -> None:
    """Exact spans, full coverage and the budget hold for arbitrary Unicode in every format."""
    document = document_of(text, kind)
    check(document, chunks_of(document), 60)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_invariants_hold_for_the_sample_corpus(path: Path) -> None:
    """The same for every document of the sample."""
    document = read_document(path)
    chunks = chunks_of(document, 254)
    check(document, chunks, 254)
    assert chunks


def test_sections_are_chunked_under_their_headings() -> None:
    """A chunk carries its heading path, which is embedded with it and is no part of its text."""
    body = "word " * 40
    document = document_of(f"# Guide\n\n{body}\n\n## Keys\n\n{body}\n\n### Rotation\n\n{body}\n")
    chunks = chunks_of(document, 120)
    assert [chunk.heading_path for chunk in chunks] == [
        ("Guide",),
        ("Guide", "Keys"),
        ("Guide", "Keys", "Rotation"),
    ]
    assert chunks[2].text.startswith("### Rotation")
    assert chunks[2].embedded_text.startswith("Guide > Keys > Rotation\n### Rotation")


def test_small_sections_share_a_chunk() -> None:
    """Sections of a line each are not embedded one by one."""
    document = document_of("# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree\n")
    assert len(chunks_of(document)) == 1


def test_heading_is_not_left_alone() -> None:
    """A heading goes with what follows it, even where the chunk before had room for it."""
    sections = "".join(f"## Part {number}\n\n{'word ' * 35}\n\n" for number in range(10))
    for chunk in chunks_of(document_of(f"# Guide\n\n{sections}"), 120):
        assert not chunk.text.splitlines()[-1].startswith("#")


def test_long_paragraph_is_cut_at_sentences() -> None:
    """Where a block must be split it is split after a sentence, also in scripts without spaces."""
    english = " ".join(f"Sentence number {number} says something of its own." for number in range(30))
    assert all(chunk.text.endswith(".") for chunk in chunks_of(document_of(english, "text")))
    japanese = "".join(f"これは第{number}の文です。" for number in range(60))
    assert all(chunk.text.endswith("。") for chunk in chunks_of(document_of(japanese, "text")))


def test_table_is_cut_between_rows() -> None:
    """Rows of a long table stay whole."""
    rows = "\n".join(f"| name {number} | value {number} |" for number in range(60))
    document = document_of(f"| n | v |\n|---|---|\n{rows}\n")
    for chunk in chunks_of(document):
        assert all(line.startswith("|") and line.endswith("|") for line in chunk.text.splitlines())


def test_ids_come_from_content_and_place() -> None:
    """The same document gives the same ids; equal texts at two places have two ids and one hash."""
    text = "# A\n\nsame\n\n# A\n\n" + "filler " * 80 + "\n\n# A\n\nsame\n"
    first, again = chunks_of(document_of(text)), chunks_of(document_of(text))
    assert [chunk.chunk_id for chunk in first] == [chunk.chunk_id for chunk in again]
    assert first[0].chunk_id != first[-1].chunk_id


def test_hostile_texts_cost_a_bounded_amount() -> None:
    """One line of a megabyte and fifty thousand tiny paragraphs are chunked without quadratic work."""
    line = document_of("x" * 1_000_000, "text")
    check(line, chunks_of(line, 254), 254)
    many = document_of("a\n\n" * 50_000, "text")
    check(many, chunks_of(many, 254), 254)


def test_split_chunk_makes_two_that_hold_the_same() -> None:
    """Halving keeps every word, exact spans and lines."""
    document = document_of("# T\n\n" + "\n".join(f"line {number} here." for number in range(20)), "markdown")
    chunk = chunks_of(document, 254)[0]
    left, right = split_chunk(document, chunk)
    assert left.text.split() + right.text.split() == chunk.text.split()
    assert document.text[right.start : right.end] == right.text
    assert (left.start_line, right.end_line) == (chunk.start_line, chunk.end_line)
    assert left.end_line < right.start_line


WORDS = " ".join(f"word{number} tells of it." for number in range(40))


def test_document_that_fits_is_one_chunk() -> None:
    """The title of a text is counted once, where it stands, and not as a heading before itself."""
    document = document_of(f"A title that stands apart\n\n{WORDS}", "text")
    size = COUNTER.count(document.text)
    (chunk,) = chunks_of(document, size)
    assert chunk.embedded_text == chunk.text == document.text
    first, second = chunks_of(document, size - 1)
    assert first.text.startswith("A title that stands apart\n\nword0")
    assert second.embedded_text == f"A title that stands apart\n{second.text}"


def test_long_paragraph_is_cut_evenly() -> None:
    """A paragraph a little larger than a chunk becomes two halves, not a chunk and a few words."""
    document = document_of(WORDS, "text")
    size = COUNTER.count(WORDS)
    sizes = [COUNTER.count(chunk.text) for chunk in chunks_of(document, size - 5)]
    assert len(sizes) == 2
    assert max(sizes) < 1.4 * min(sizes)
    assert [COUNTER.count(chunk.text) > 0.8 * (size - 5) for chunk in _cut_by("fixed", document, size - 5)] == [
        True,
        False,
    ]


def _cut_by(strategy: str, document: Document, max_tokens: int) -> list[Chunk]:
    settings = ChunkSettings(strategy=strategy, max_tokens=max_tokens)
    return list(chunk_document(document, settings=settings, counter=COUNTER))
