"""Answers as JSON after a schema: asked for with `format`, validated here, every value checked against the passages.

In: a question, its hits, a client, a chat model, a JSON schema. Out: an Answer whose `value` is valid, with a Sentence
for each value in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.answer.checking import check_statements
from pipeline.answer.citations import quotation
from pipeline.answer.generative import begin, unchecked
from pipeline.answer.reading import Reading
from pipeline.answer.refusal import unanswered
from pipeline.errors import BadReply, UsageError
from pipeline.types import Answer, Citation, Hit, Sentence

if TYPE_CHECKING:
    from pipeline.api import Client
    from pipeline.embed import Embedder

TABLE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "columns": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
    },
    "required": ["columns", "rows"],
}
"""A table: names of columns, and rows with a text for each of them."""

ASKED = (
    "Reply with the answer as JSON that follows the schema, with values from the sources and without source numbers."
)


def answer_structured(
    client: Client,
    model: str,
    question: str,
    hits: Sequence[Hit],
    schema: Mapping[str, Any],
    *,
    embedder: Embedder | None = None,
    think: bool = False,
) -> Answer:
    """Asks `model` for JSON after `schema`. `text` is the JSON as the model wrote it, `value` what it means.

    Each text and number in it is one of the `sentences`, by its place (`$.keys[0].name: signing key`), with the span
    that supports it. Refused as `answer_with_model` does; also where no value at all is supported.

    Raises:
        UsageError: the schema is none.
        BadReply: what came is no JSON, or does not follow the schema.
        ApiError: the server cannot be asked, or fails before anything of the answer has come.
    """
    check_schema(schema)
    if not hits:
        return unanswered(question, model=model, notices=("there is no passage to answer from",))
    begun = begin(client, model, question, hits, embedder=embedder, think=think, prompt="plain")
    if isinstance(begun, Answer):
        return begun
    reading, withheld = begun
    reply = reading.ask(tail=ASKED, format=dict(schema))
    answer = unchecked(reading, reply, hits, withheld)
    value = _valid(reply.text, schema, model, answer.notices)
    statements = [(place, f"{leaf}") for place, leaf in leaves(value)]
    sentences = check_statements(statements, question, reading.passages, embedder=embedder)
    supported = [sentence for sentence in sentences if sentence.support == "supported"]
    if not supported:
        return replace(answer, draft=reply.text, notices=(*answer.notices, f"no passage supports what {model} wrote"))
    unsupported = len(sentences) - len(supported)
    notices = (f"no passage supports {unsupported} of {len(sentences)} values; do not rely on them",)
    return replace(
        answer,
        text=reply.text,
        value=value,
        answered=True,
        sentences=sentences,
        citations=_citations(supported, reading),
        notices=(*answer.notices, *(notices if unsupported else ())),
    )


def check_schema(schema: Any) -> None:
    """Raises UsageError for what is no JSON schema of an object or array."""
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - only where a schema is given

    if not isinstance(schema, Mapping):
        raise UsageError("the schema is no JSON object", hint='give one like {"type": "object", "properties": {...}}')
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise UsageError(f"this is no JSON schema: {error.message}", hint="see https://json-schema.org") from error


def table_of(answer: Answer) -> list[list[str]]:
    """The rows of an answer after TABLE_SCHEMA, the names of the columns first, all of one length."""
    columns: list[str] = answer.value["columns"]
    rows: list[list[str]] = answer.value["rows"]
    return [columns, *([*row, *[""] * len(columns)][: len(columns)] for row in rows)]


def leaves(value: Any, place: str = "$") -> Iterator[tuple[str, str | int | float]]:
    """The texts and numbers of a JSON value with their places, in order; true, false and null state nothing alone."""
    if isinstance(value, dict):
        items: dict[str, Any] = value
        for name, item in items.items():
            yield from leaves(item, f"{place}.{name}")
    elif isinstance(value, list):
        parts: list[Any] = value
        for number, item in enumerate(parts):
            yield from leaves(item, f"{place}[{number}]")
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield place, value


def _valid(text: str, schema: Mapping[str, Any], model: str, notices: Sequence[str]) -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - only where a schema is given
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    hint = notices[-1] if notices else "ask a larger model, or for less at once"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadReply(f"{model} wrote no JSON: {text[:80]!r}", hint=hint) from error
    try:
        # An empty registry: references to other files are not fetched.
        error = next(iter(Draft202012Validator(schema, registry=Registry()).iter_errors(value)), None)
    except Unresolvable as missing:
        raise UsageError(
            f"the schema refers to what is not in it: {missing}", hint="use one file, with $defs"
        ) from missing
    if error is not None:
        where = f"what {model} wrote does not follow the schema, at {error.json_path}"
        raise BadReply(f"{where}: {error.message}", hint=hint)
    return value


def _citations(sentences: Sequence[Sentence], reading: Reading) -> tuple[Citation, ...]:
    """One for each passage and quote, in order."""
    hits = {passage.number: passage.hit for passage in reading.passages}
    pairs = dict.fromkeys((sentence.number, sentence.quote) for sentence in sentences)
    return tuple(quotation(number, hits[number], quote) for number, quote in sorted(pairs))
