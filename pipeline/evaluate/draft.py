"""Golden questions drawn up by a chat model from a collection's own passages, for a person to review.

In: a snapshot, a client, a chat model. Out: questions whose quotes stand in their passages, word for word.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.evaluate.golden import GoldenQuestion

if TYPE_CHECKING:
    from pipeline.api import Client
    from pipeline.store import Snapshot

LEAST_CHARACTERS = 200
"""Shorter passages seldom hold a fact that only they answer."""

LONGEST_PASSAGE = 4000
SEED = 7
INSTRUCTIONS = (
    "You write questions that test a search engine. From the passage, take one fact that a person may look for. "
    "Write one question that this fact answers, in the language of the passage, and that can be understood by "
    "somebody who has not seen the passage: name what it is about, in words other than those of the passage where "
    'you can. Answer with JSON: {"question": the question, "quote": the words of the passage that answer it, copied '
    "exactly, at most one sentence}."
)
SHAPE: dict[str, Any] = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "quote": {"type": "string"}},
    "required": ["question", "quote"],
}


def draft_questions(
    snapshot: Snapshot,
    client: Client,
    model: str,
    count: int,
    *,
    folder: Path,
    on_rejected: Callable[[str, str], None] = lambda _path, _why: None,
) -> Iterator[GoldenQuestion]:
    """Up to `count` questions, with paths relative to `folder`; from as many documents as can be.

    A draft whose quote does not stand in its passage, or that is no question, is dropped: `on_rejected(path, why)`
    is told, and another passage is tried, up to three times `count` in all.
    """
    made = 0
    asked: set[str] = set()
    for path, text in _passages(snapshot, most=3 * count):
        if made == count:
            return
        reply = client.chat(
            model,
            [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text[:LONGEST_PASSAGE]}],
            format=SHAPE,
            options={"temperature": 0, "seed": SEED, "num_predict": 300},
        )
        question, quote, fault = _parsed(reply.message.content, text)
        if not fault and question.casefold() in asked:
            fault = "asks what another one asks"
        if fault:
            on_rejected(path, fault)
            continue
        asked.add(question.casefold())
        made += 1
        yield GoldenQuestion(question=question, path=os.path.relpath(path, folder), quote=quote)


def question_line(question: GoldenQuestion) -> str:
    """The question as a line of a golden file."""
    record = {"question": question.question, "path": question.path, "quote": question.quote}
    return json.dumps(record, ensure_ascii=False)


def _parsed(content: str, text: str) -> tuple[str, str, str]:
    """Question, quote, and what is wrong with them, if anything is."""
    try:
        record = json.loads(content)
        question, quote = " ".join(record["question"].split()), " ".join(record["quote"].split())
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", "", "is not in the form asked for"
    if len(question) < 10 or not question.endswith(("?", "？", "؟")):
        return question, quote, "is no question"
    if len(quote) < 3 or quote not in " ".join(text.split()):
        return question, quote, "quotes what the passage does not say"
    return question, quote, ""


def _passages(snapshot: Snapshot, *, most: int) -> Iterator[tuple[str, str]]:
    """Passages spread over the collection: one of each document in turn, starting where documents are evenly apart."""
    documents = list(snapshot.documents())
    step = max(1, len(documents) // max(1, most))
    order = [documents[at] for start in range(step) for at in range(start, len(documents), step)]
    given, place = 0, 0
    while order and given < most:
        left: list[Any] = []
        for document in order:
            if place >= document.rows:
                continue
            left.append(document)
            # From the middle outwards: beginnings tend to say what is said everywhere.
            row = document.first_row + (document.rows // 2 + place) % document.rows
            passage = snapshot.segment_of(document).passages([row])[0]
            if len(passage["text"]) >= LEAST_CHARACTERS:
                yield document.row.path, passage["text"]
                given += 1
                if given == most:
                    return
        order, place = left, place + 1
