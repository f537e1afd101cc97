"""Retrieval measures against values worked by hand, and the golden file's errors."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.evaluate import average_precision, evaluate_golden, judge, ndcg, read_golden, recall, reciprocal_rank
from pipeline.types import Hit
from tests import make

TREC_EVAL = json.loads((Path(__file__).parent / "trec_eval.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TREC_EVAL["cases"], ids=lambda case: f"{len(case['ranking'])} ranks")
def test_measures_are_those_of_trec_eval(case: dict[str, Any]) -> None:
    """Every measure is what trec_eval says of the same run: graded or binary, short or long, found or not."""
    assert judge(case["ranking"], case["relevance"]) == pytest.approx(case["figures"], abs=1e-9)


def test_ndcg_of_a_worked_example() -> None:
    """Relevant at ranks 2 and 3 of 2 relevant: (1/log2(3) + 1/log2(4)) / (1 + 1/log2(3))."""
    expected = (1 / math.log2(3) + 1 / 2) / (1 + 1 / math.log2(3))
    assert ndcg([0, 1, 1], [1, 1], k=10) == pytest.approx(expected)
    assert ndcg([1, 1], [1, 1], k=10) == 1.0
    assert ndcg([0] * 10 + [1], [1], k=10) == 0.0
    assert ndcg([], [], k=10) == 0.0


def test_recall_and_reciprocal_rank_of_worked_examples() -> None:
    """One of two relevant in the first three: recall 1/2; first relevant at rank 3: 1/3, cut off at 2: 0."""
    ranked = [0, 0, 1, 1]
    assert recall(ranked, 2, k=3) == 0.5
    assert reciprocal_rank(ranked) == pytest.approx(1 / 3)
    assert reciprocal_rank(ranked, k=2) == 0.0
    assert average_precision(ranked, 2) == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_golden_questions_are_judged_by_document_and_by_quote(tmp_path: Path) -> None:
    """The document counts at its first hit; the passage only where it holds the quote; null questions are left out."""
    lines = [
        {"question": "q1", "path": "a.md", "quote": "two  words"},
        {"question": "q2", "path": "b.md", "quote": "absent"},
        {"question": "q3", "path": None, "quote": None},
    ]
    (tmp_path / "golden.jsonl").write_text("\n".join(json.dumps(line) for line in lines))

    def search(question: str, k: int) -> list[Hit]:
        a, b = str(tmp_path / "a.md"), str(tmp_path / "b.md")
        return [
            make.hit("other", rank=1, path=b),
            make.hit("other", rank=2, path=a),
            make.hit("here are two\nwords", rank=3, path=a),
        ]

    report = evaluate_golden(read_golden(tmp_path / "golden.jsonl"), tmp_path, search)
    assert [(result.document_rank, result.passage_rank) for result in report.results] == [(2, 3), (1, 0)]
    assert report.queries == 2
    assert report.measures["mrr@10"] == 0.75
    assert report.passage_recall["recall@5"] == 0.5


def test_bad_golden_line_is_named(tmp_path: Path) -> None:
    """The error says which line of the file is at fault."""
    (tmp_path / "golden.jsonl").write_text('{"question": "q", "path": null, "quote": null}\n{"question": 1')
    with pytest.raises(UsageError, match=r"golden\.jsonl:2"):
        read_golden(tmp_path / "golden.jsonl")
