"""The sample corpus and its golden questions are what the documentation says."""

from collections import Counter
from pathlib import Path

from pipeline.evaluate.golden import read_golden
from pipeline.read import Found, discover, read_document

CORPUS = Path(__file__).parent.parent / "sample_corpus"
GOLDEN = CORPUS / "golden.jsonl"
DOCUMENTS = sorted(item.path for item in discover([CORPUS]) if isinstance(item, Found))


def test_corpus_is_worth_searching() -> None:
    """40 to 60 documents, 150 KB or more, in every format that can be read."""
    assert 40 <= len(DOCUMENTS) <= 60
    assert sum(path.stat().st_size for path in DOCUMENTS) >= 150_000
    assert {path.suffix for path in DOCUMENTS} == {".md", ".txt", ".html", ".py", ".rst"}


def test_each_golden_quote_stands_once_in_its_document() -> None:
    """The quote is found in the text that is chunked, so that a passage can hold it."""
    answerable = [question for question in read_golden(GOLDEN) if question.path is not None]
    assert len(answerable) == 40
    for question in answerable:
        text = read_document(CORPUS / str(question.path)).text
        assert text.count(str(question.quote)) == 1, question


def test_golden_questions_cover_the_corpus() -> None:
    """Eight questions have no answer; no document is asked about more than twice."""
    questions = read_golden(GOLDEN)
    unanswerable = [question for question in questions if question.path is None]
    assert len(unanswerable) == 8
    assert all(question.quote is None for question in unanswerable)
    asked = Counter(question.path for question in questions if question.path is not None)
    assert max(asked.values()) <= 2
    assert {path.split("/")[0] for path in asked} == {path.name for path in CORPUS.iterdir() if path.is_dir()}
