"""Test collections in the layout of BEIR (Thakur et al. 2021): documents, queries, and what is relevant to which.

In: a folder with `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv` or `qrels.tsv`. Out: a `TestCollection`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pipeline.errors import UsageError

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"
QRELS = ("qrels/test.tsv", "qrels.tsv")
LAYOUT_HINT = f"a BEIR folder has {CORPUS}, {QUERIES} and {QRELS[0]} or {QRELS[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCollection:
    """`queries` are those with a judgement; `relevance` gives grades by query and document."""

    __test__ = False  # the name is the field's, and pytest would take it for a class of tests

    folder: Path
    queries: Mapping[str, str]
    relevance: Mapping[str, Mapping[str, int]]
    fingerprint: str

    @property
    def name(self) -> str:
        return self.folder.name

    def documents(self) -> Iterator[tuple[str, str]]:
        """Every document's id and text, its title on a line of its own before it. Raises UsageError."""
        for number, record in _records(self.folder / CORPUS):
            name = _text(record, "_id", self.folder / CORPUS, number)
            title, text = str(record.get("title") or ""), _text(record, "text", self.folder / CORPUS, number)
            yield name, f"{title}\n\n{text}" if title else text


def is_test_collection(path: Path) -> bool:
    """Whether `path` is a folder that claims to be one."""
    return (path / CORPUS).is_file() or (path / QUERIES).is_file()


def read_test_collection(folder: Path) -> TestCollection:
    """Reads queries and judgements; documents are read when they are asked for.

    Raises UsageError that names the file, and the line, at fault.
    """
    folder = folder.absolute().resolve()
    qrels = next((folder / name for name in QRELS if (folder / name).is_file()), None)
    if qrels is None or not (folder / CORPUS).is_file():
        raise UsageError(f"{folder} is no test collection: a file is missing", hint=LAYOUT_HINT)
    relevance = _read_qrels(qrels)
    queries: dict[str, str] = {}
    for number, record in _records(folder / QUERIES):
        name = _text(record, "_id", folder / QUERIES, number)
        if any(grade > 0 for grade in relevance.get(name, {}).values()):
            queries[name] = _text(record, "text", folder / QUERIES, number)
    if not queries:
        raise UsageError(f"{folder}: no query has a relevant document", hint=LAYOUT_HINT)
    with (folder / CORPUS).open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
    return TestCollection(folder=folder, queries=queries, relevance=relevance, fingerprint=fingerprint)


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Grades by query and document, from three columns with a header or the four of trec_eval without one."""
    relevance: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_lines(path), start=1):
        fields = line.split()
        if not fields or (number == 1 and not fields[-1].lstrip("-").isdigit()):
            continue
        try:
            query, document, grade = fields if len(fields) == 3 else (fields[0], *fields[2:])
            relevance.setdefault(query, {})[document] = int(grade)
        except ValueError as error:
            hint = "each line is a query, a document and a whole number, separated by tabs"
            raise UsageError(f"{path}:{number}: not a judgement: {line.strip()[:60]!r}", hint=hint) from error
    return relevance


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: not JSON: {error}", hint=LAYOUT_HINT) from error
        if not isinstance(record, dict):
            raise UsageError(f"{path}:{number}: not a JSON object", hint=LAYOUT_HINT)
        yield number, cast("dict[str, Any]", record)


def _text(record: dict[str, Any], key: str, path: Path, number: int) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise UsageError(f"{path}:{number}: {key!r} is missing or no text", hint=LAYOUT_HINT)
    return value


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}", hint=LAYOUT_HINT) from error
