"""Golden questions: a question, the document that answers it and the exact words that do.

In: a `golden.jsonl` file, a function that searches. Out: measures over the answerable questions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.errors import UsageError
from pipeline.evaluate.measures import DEPTH, judge, mean, recall
from pipeline.evaluate.runs import Search, ranked_documents

if TYPE_CHECKING:
    from pipeline.types import Hit

PASSAGE_RANKS = (1, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenQuestion:
    """`path` is relative to the folder of the golden file; `path` and `quote` are None where nothing answers.

    `answer` holds the facts that an answer must state, each in the wordings that count as it; empty where not said.
    """

    question: str
    path: str | None
    quote: str | None
    answer: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenResult:
    """Where a question's document, and a passage with its quote, ranked; 0 where they were not found."""

    question: GoldenQuestion
    document_rank: int
    passage_rank: int
    measures: dict[str, float]


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
            questions.append(
                GoldenQuestion(
                    question=record["question"],
                    path=record["path"],
                    quote=record["quote"],
                    answer=_facts(record.get("answer")),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path}:{number}: not a golden question: {error}",
                hint='each line is {"question": ..., "path": ..., "quote": ...}, and may have "answer": [fact, ...]',
            ) from error
    return questions


def _facts(value: Any) -> tuple[tuple[str, ...], ...]:
    """The facts of an `answer`: a text, or a list of facts, each a text or a list of wordings.

    Raises TypeError for anything else.
    """
    facts: Any = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(facts, list):
        raise TypeError("'answer' is no list of facts")
    return tuple(_wordings(fact) for fact in cast("list[Any]", facts))


def _wordings(fact: Any) -> tuple[str, ...]:
    wordings: Any = [fact] if isinstance(fact, str) else fact
    if not isinstance(wordings, list) or not wordings:
        raise TypeError("a fact of 'answer' is neither a text nor a list of texts")
    listed = cast("list[Any]", wordings)
    if not all(isinstance(each, str) for each in listed):
        raise TypeError("a fact of 'answer' is neither a text nor a list of texts")
    return tuple(listed)


def evaluate_golden(questions: Sequence[GoldenQuestion], root: Path, search: Search) -> GoldenReport:
    """Asks every answerable question; `search(question, k)` returns hits with absolute paths.

    Raises UsageError if no question has a path.
    """
    answerable = [question for question in questions if question.path is not None]
    if not answerable:
        raise UsageError("there is no question with a path", hint="give golden questions that a document answers")
    results = [_judge(question, root, search) for question in answerable]
    found = [[rank == result.passage_rank for rank in range(1, DEPTH + 1)] for result in results]
    return GoldenReport(
        queries=len(answerable),
        measures={name: round(mean(result.measures[name] for result in results), 4) for name in results[0].measures},
        passage_recall={f"recall@{k}": round(mean(recall(row, 1, k=k) for row in found), 4) for k in PASSAGE_RANKS},
        results=tuple(results),
    )


def _judge(question: GoldenQuestion, root: Path, search: Search) -> GoldenResult:
    wanted = str((root / (question.path or "")).resolve())
    quote = " ".join((question.quote or "").split())
    seen: list[Hit] = []

    def watched(query: str, k: int) -> Sequence[Hit]:
        seen[:] = search(query, k)
        return seen

    documents = ranked_documents(watched, question.question, lambda hit: hit.path)
    passage_rank = next((hit.rank for hit in seen if hit.path == wanted and quote in " ".join(hit.text.split())), 0)
    return GoldenResult(
        question=question,
        document_rank=documents.index(wanted) + 1 if wanted in documents else 0,
        passage_rank=passage_rank if passage_rank <= DEPTH else 0,
        measures=judge(documents, {wanted: 1}),
    )
