"""Compound questions made of golden ones, as a test collection: what is taking questions apart worth?

    python benchmarks/compound.py sample_corpus /tmp/compound
    pipeline eval /tmp/compound --plan split --plan decompose --chat-model qwen2.5-coder:1.5b

Each question is two golden questions about different documents in one sentence; both documents are relevant. Writes a
folder in the layout of BEIR. Which questions meet is drawn with a fixed seed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.evaluate.golden import GoldenQuestion, read_golden

ENGLISH = re.compile(r"(?:(?:at|by|for|in) )?(?:how|what|when|where|which|who|why)\b|may\b", re.IGNORECASE)
"""Questions in other languages do not go on in English."""

ROUNDS = 2
"""How often each golden question is part of a compound one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("sample", type=Path, help="a folder with golden.jsonl and the documents that it names")
    parser.add_argument("folder", type=Path, help="where to write corpus.jsonl, queries.jsonl and qrels/test.tsv")
    given = parser.parse_args()
    golden = [each for each in read_golden(given.sample / "golden.jsonl") if each.path and ENGLISH.match(each.question)]
    names = sorted({str(each.path) for each in golden})
    others = [str(path.relative_to(given.sample)) for path in given.sample.rglob("*.md")]
    documents = sorted({*names, *others})
    (given.folder / "qrels").mkdir(parents=True, exist_ok=True)
    texts = [{"_id": name, "title": "", "text": (given.sample / name).read_text("utf-8")} for name in documents]
    pairs = drawn(golden)
    queries = [{"_id": f"{number}", "text": together(*pair)} for number, pair in enumerate(pairs)]
    qrels = [f"{number}\t{each.path}\t1" for number, pair in enumerate(pairs) for each in pair]
    write(given.folder / "corpus.jsonl", map(json.dumps, texts))
    write(given.folder / "queries.jsonl", map(json.dumps, queries))
    write(given.folder / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *qrels])
    print(f"{len(queries)} questions, {len(texts)} documents in {given.folder}")


def drawn(golden: list[GoldenQuestion]) -> list[tuple[GoldenQuestion, GoldenQuestion]]:
    """Pairs of questions about different documents."""
    chance = random.Random(1)
    pairs: list[tuple[GoldenQuestion, GoldenQuestion]] = []
    for _ in range(ROUNDS):
        shuffled = chance.sample(golden, len(golden))
        pairs.extend(pair for pair in zip(shuffled[::2], shuffled[1::2], strict=False) if pair[0].path != pair[1].path)
    return pairs


def together(first: GoldenQuestion, second: GoldenQuestion) -> str:
    rest = second.question
    return f"{first.question.rstrip('?')}, and {rest[0].lower()}{rest[1:]}"


def write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
