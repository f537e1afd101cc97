"""Golden questions: a question, the document that answers it and the exact words that do.

In: a `golden.jsonl` file, a function that searches. Out: measures over the answerable questions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.evaluate.measures import mean, ndcg, recall, reciprocal_rank

if TYPE_CHECKING:
    from pipeline.types import Hit

DEPTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenQuestion:
    """`path` is relative to the folder of the golden file; `path` and `quote` are None where nothing answers."""

    question: str
    path: str | None
    quote: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenResult:
    """Where a question's document, and a passage with its quote, ranked; 0 where they were not found."""

    question: GoldenQuestion
    document_rank: int
    passage_rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenReport:
    """`measures` are by document; `passage_recall` counts passages that hold the quote itself."""

    queries: int
    measures: dict[str, float]
    passage_recall: dict[str, float]
    results: tuple[GoldenResult, ...]


def read_golden(path: Path) -> list[GoldenQuestion]:
    """The questions of a JSON-lines file. Raises UsageError that names the line at fault."""
    questions: list[GoldenQuestion] = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}", hint="give a file of golden questions") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            questions.append(GoldenQuestion(question=record["question"], path=record["path"], quote=record["quote"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path}:{number}: not a golden question: {error}",
                hint='each line is {"question": ..., "path": ..., "quote": ...}',
            ) from error
    return questions


def evaluate_golden(
    questions: Sequence[GoldenQuestion], root: Path, search: Callable[[str, int], Sequence[Hit]]
) -> GoldenReport:
    """Asks every answerable question; `search(question, k)` returns hits with absolute paths.

    Raises UsageError if no question has a path.
    """
    answerable = [question for question in questions if question.path is not None]
    if not answerable:
        raise UsageError("there is no question with a path", hint="give golden questions that a document answers")
    results = [_judge(question, root, search(question.question, DEPTH)) for question in answerable]
    ranked = [[rank == result.document_rank for rank in range(1, DEPTH + 1)] for result in results]
    passages = [[rank == result.passage_rank for rank in range(1, DEPTH + 1)] for result in results]
    return GoldenReport(
        queries=len(answerable),
        measures={
            "ndcg@10": round(mean(ndcg(row, 1, k=10) for row in ranked), 4),
            "recall@5": round(mean(recall(row, 1, k=5) for row in ranked), 4),
            "recall@10": round(mean(recall(row, 1, k=10) for row in ranked), 4),
            "recall@100": round(mean(recall(row, 1, k=100) for row in ranked), 4),
            "mrr@10": round(mean(reciprocal_rank(row, k=10) for row in ranked), 4),
            # With one relevant document a question, average precision is the reciprocal rank.
            "map": round(mean(reciprocal_rank(row) for row in ranked), 4),
        },
        passage_recall={f"recall@{k}": round(mean(recall(row, 1, k=k) for row in passages), 4) for k in (1, 5, 10)},
        results=tuple(results),
    )


def _judge(question: GoldenQuestion, root: Path, hits: Sequence[Hit]) -> GoldenResult:
    wanted = str((root / (question.path or "")).resolve())
    documents = list(dict.fromkeys(hit.path for hit in hits))
    quote = " ".join((question.quote or "").split())
    passage_rank = next((hit.rank for hit in hits if hit.path == wanted and quote in " ".join(hit.text.split())), 0)
    return GoldenResult(
        question=question,
        document_rank=documents.index(wanted) + 1 if wanted in documents else 0,
        passage_rank=passage_rank,
    )
