"""What it is worth to make follow-up questions stand alone: is the right document found, as asked and as rewritten?

    python benchmarks/follow_ups.py -c sample [--chat-model qwen2.5-coder:1.5b]

Takes the conversations of tests/answer/follow_ups.jsonl, which are about sample_corpus, and a collection of that.
Without a chat model nothing is rewritten. Its replies are kept in `<home>/evaluation/replies`, so that it can be
stopped and run again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pipeline.answer.rewrite import standalone_question, stands_alone
from pipeline.api import Client
from pipeline.collection import Collection
from pipeline.config import resolve_config
from pipeline.evaluate.replies import KeptReplies
from pipeline.evaluate.significance import interval

ROOT = Path(__file__).parents[1]
DEPTH = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("-c", "--collection", default="sample")
    parser.add_argument("--chat-model")
    parser.add_argument("--home")
    given = parser.parse_args()
    lines = (ROOT / "tests" / "answer" / "follow_ups.jsonl").read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, Any]] = [row for row in map(json.loads, lines) if not stands_alone(row["question"])]
    config = resolve_config({"home": given.home}, environ=os.environ, folder=Path.cwd())
    with Collection(given.collection, config) as collection:
        print(f"{len(rows)} questions that do not stand alone")
        report(collection, rows, "as asked", lambda row: row["question"])
        report(collection, rows, "behind the one before", lambda row: f"{row['history'][-1][0]} {row['question']}")
        if given.chat_model:
            rewritten = rewrite(collection, rows, given.chat_model)
            report(collection, rows, "rewritten", lambda row: rewritten[row["question"]])


def rewrite(collection: Collection, rows: list[dict[str, Any]], model: str) -> dict[str, str]:
    """What the model makes of each question; prints them, how many were of no use, and the seconds for one."""
    client = collection.connection.client
    digest = next((each.digest for each in client.tags() if each.name == model), "")
    kept = KeptReplies(client, collection.config.home / "evaluation" / "replies", digest=digest)
    rewritten: dict[str, str] = {}
    useless, seconds = 0, 0.0
    for row in rows:
        history = [(question, answer.removesuffix(" [1].")) for question, answer in row["history"]]
        started = kept.seconds()
        found = standalone_question(cast("Client", kept), model, row["question"], history)
        seconds += kept.seconds() - started
        useless += any("could not be made" in each for each in found.notices)
        rewritten[row["question"]] = found.question
        print(f"{row['question']}  →  {found.question}", flush=True)
    print(f"{useless} rewritings were of no use; {seconds / len(rows):.1f} s each, with {model}")
    return rewritten


def report(
    collection: Collection, rows: list[dict[str, Any]], name: str, query: Callable[[dict[str, Any]], str]
) -> None:
    """How often the document is found first, and among the first five."""
    ranks: list[int] = []
    for row in rows:
        paths = [hit.path for hit in collection.search(query(row), k=DEPTH)]
        ranks.append(next((at for at, path in enumerate(paths, start=1) if path.endswith(row["path"])), 0))
    first, among = ([float(0 < rank <= depth) for rank in ranks] for depth in (1, DEPTH))
    for title, values in (("first", first), (f"in {DEPTH}", among)):
        found = interval(values)
        print(f"{name:<22} {title:<6} {found.mean:.3f} [{found.low:.2f}, {found.high:.2f}]")


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s in all")
