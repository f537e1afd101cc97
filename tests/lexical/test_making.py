"""What the index of a segment holds against the rules of `Analyzer`, taken word by word."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.lexical import Analyzer, language_of, making, merging
from pipeline.lexical.postings import LONGEST_ROW, MOST_FREQUENT, Part, SegmentTerms
from pipeline.store import CollectionWriter, Layout, Segment, SegmentBuilder
from tests import make

DIMENSION = 4
WORDS = [
    "alpha", "Keys", "rotated", "userName", "user_name", "get-user.name", "v1.2.3", "1,000", "10,", "C++", "c#",
    "++", "don't", "l’année", "Häuser", "ΟΔΟΣ", "ключи", "機械学習", "ภาษาไทย", "한국어", "a" * 70, "HTTPServer2", "ﬁ",
    "foo(bar)", "x=[1]", "'quoted'", "...", "-", "https://example.org/a_b?c=d", "e\u0301te\u0301", "\u2028", "\u00a0", "\x1c", "\x00",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=12).flatmap(
    lambda words: st.sampled_from(["", " ", "\n", ", ", "\t"]).map(lambda between: between.join(words))
)
Document = tuple[str, str, Sequence[str]]
DOCUMENTS = st.lists(
    st.tuples(st.sampled_from(["", "en", "de", "xx"]), TEXTS, st.lists(TEXTS, min_size=1, max_size=4)), max_size=6
)


def segment_of(folder: Path, documents: Sequence[Document]) -> Segment:
    """A segment of documents, each with a language, a title and the texts of its passages."""
    builder = SegmentBuilder(DIMENSION)
    for number, (language, title, texts) in enumerate(documents):
        path = f"/{number}"
        row = replace(make.document_row(path), title=title, metadata={"language": language})
        chunks = [make.chunk(text, document_id=path, start=at) for at, text in enumerate(texts)]
        builder.add(row, chunks, list(make.unit_rows(len(texts), DIMENSION)))
    with CollectionWriter(Layout.of(folder, "notes")) as writer:
        writer.create(make.identity(DIMENSION), {})
        return writer.commit(builder).segments[0]


def reckoned(documents: Sequence[Document]) -> list[Counter[str]]:
    """The terms of each row with how often it has them."""
    rows: list[Counter[str]] = []
    for language, title, texts in documents:
        analyzer = Analyzer(language_of(language))
        for text in texts:
            every = (f"{title}\nHeading", text)
            rows.append(Counter(term for part in every for terms in analyzer.terms(part) for term in terms))
    return rows


def assert_holds(parts: Sequence[Part], expected: Sequence[Counter[str]]) -> None:
    assert [length for part in parts for length in part.lengths] == [min(row.total(), LONGEST_ROW) for row in expected]
    found: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for part in parts:
        terms = part.terms.to_pylist()
        assert terms == sorted(set(terms))
        for term in terms:
            postings = part.postings(term.encode())
            assert postings is not None
            assert list(postings[0]) == sorted({*postings[0]})
            for row, often in zip(*postings, strict=True):
                found[part.first_row + int(row)][term] = int(often)
    for number, row in enumerate(expected):
        assert found[number] == {term: min(often, MOST_FREQUENT) for term, often in row.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=DOCUMENTS.filter(bool), limit=st.sampled_from([1, 3, 65_536]))
@example(documents=[("en", "", [""])], limit=3)
@example(documents=[("en", "T", ["word " * 300, "", "keys" * 20_000])], limit=65_536)
def test_rows_hold_the_terms_of_their_words(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, documents: list[Document], limit: int
) -> None:
    """Whatever the texts, languages and sizes of parts: each row has the terms that the rules give, as often."""
    segment = segment_of(tmp_path_factory.mktemp("home"), documents)
    with monkeypatch.context() as patched:
        patched.setattr(making, "PART_ROWS", limit)
        patched.setattr(making, "SLAB_BYTES", limit)
        parts = list(making.make_parts(segment, set(), making.Analyzers()))
    assert parts[0].first_row == 0
    assert all(len(part.lengths) <= limit for part in parts)
    assert_holds(parts, reckoned(documents))


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Z", "Cs", "Cc"])) | st.sampled_from(WORDS))
def test_a_piece_has_the_terms_of_its_words(piece: str) -> None:
    """The short way to the terms of a text without white space gives what the rules give."""
    analyzer = Analyzer()
    assert list(analyzer.terms_of_piece(piece)) == [term for terms in analyzer.terms(piece) for term in terms]


@settings(max_examples=40, deadline=None)
@given(
    segments=st.lists(st.tuples(DOCUMENTS.filter(bool), st.integers(0, 63)), min_size=1, max_size=3),
    limit=st.sampled_from([1, 3, 65_536]),
)
def test_merged_indexes_hold_the_terms_of_what_remains(
    tmp_path_factory: pytest.TempPathFactory, segments: list[tuple[list[Document], int]], limit: int
) -> None:
    """Whatever the segments, their parts and the documents that died: each row has the terms that the rules give."""
    sources: list[tuple[SegmentTerms, NDArray[np.bool_]]] = []
    remaining: list[Document] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(making, "PART_ROWS", limit)
        patched.setattr(making, "SLAB_BYTES", limit)
        patched.setattr(merging, "PART_POSTINGS", 20 * limit)
        for documents, dead in segments:
            segment = segment_of(tmp_path_factory.mktemp("home"), documents)
            kept = [not dead >> number & 1 for number in range(len(documents))]
            live = [alive for document, alive in zip(documents, kept, strict=True) for _ in document[2]]
            parts = tuple(making.make_parts(segment, set(), making.Analyzers()))
            sources.append((SegmentTerms(frozenset(), parts), np.array(live)))
            remaining += [document for document, alive in zip(documents, kept, strict=True) if alive]
        merged = list(merging.merged_parts(sources))
    assert_holds(merged, reckoned(remaining))
