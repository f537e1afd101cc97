"""Answers as JSON that a grammar forces: sentences, each with the number of its source, or a refusal. Pure.

In: the passages that are read; then what a model has written so far. Out: a schema for `format`; the text with marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pipeline.answer.citations import without_marks
from pipeline.answer.prompt import REFUSAL
from pipeline.types import Passage

MOST_SENTENCES = 3
STRING = r'"((?:[^"\\]|\\.)*)"'
SENTENCE = re.compile(rf'"text"\s*:\s*{STRING}\s*,\s*"source"\s*:\s*(\d+)')
ENDED = re.compile(r"[.!?:;。！？]$")
REFUSED = re.compile(r'\A\s*\{\s*"refusal"')


def schema_for(passages: Sequence[Passage]) -> dict[str, Any]:
    """A JSON schema that lets a model write nothing but sentences with a number of these passages, or the refusal."""
    sentence = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "source": {"type": "integer", "enum": [passage.number for passage in passages]},
        },
        "required": ["text", "source"],
    }
    sentences = {"type": "array", "minItems": 1, "maxItems": MOST_SENTENCES, "items": sentence}
    return {
        "anyOf": [
            {"type": "object", "properties": {"sentences": sentences}, "required": ["sentences"]},
            {"type": "object", "properties": {"refusal": {"const": REFUSAL}}, "required": ["refusal"]},
        ]
    }


def text_of(reply: str) -> str:
    """The sentences that are whole, with their marks; the refusal; or `reply` itself where it is no JSON."""
    if not reply.lstrip().startswith("{"):
        return reply
    if REFUSED.match(reply):
        return REFUSAL
    return " ".join(_marked(match) for match in SENTENCE.finditer(reply))


def _marked(match: re.Match[str]) -> str:
    try:
        text = json.loads(f'"{match[1]}"', strict=False)
    except ValueError:
        text = match[1]
    text = without_marks(text).strip()
    return f"{text}{'' if ENDED.search(text) else '.'} [{match[2]}]"
