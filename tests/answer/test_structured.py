"""Answers as JSON after a schema, on scripted sockets and with a real model whose server holds it to the schema."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.answer import TABLE_SCHEMA, answer_structured, table_of
from pipeline.api import Client, RetryPolicy
from pipeline.errors import BadReply, UsageError
from pipeline.server import App, InProcessTransport, ModelStore
from pipeline.types import Answer as Answered
from tests import make
from tests.api.scripted_server import Answer, Script, as_json, lines, scripted_server
from tests.conftest import CHAT_MODEL

QUESTION = "How often are which keys rotated?"
TEXT = "Signing keys are rotated every 90 days. Storage keys are rotated every 30 days."
SCHEMA = {
    "type": "object",
    "properties": {
        "key": {"type": "string", "maxLength": 40},
        "days": {"type": "integer", "minimum": 0, "maximum": 999},
        "sure": {"type": "boolean"},
    },
    "required": ["key", "days"],
}


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def ask(script: Script, text: str, schema: Any = SCHEMA) -> Answered:
    said = {"message": {"content": text}, "done": False}
    script.answers = [
        as_json({"model_info": {"llama.context_length": 4096}}),
        Answer(pieces=(lines(said, {"message": {"content": ""}, "done": True}),)),
    ]
    with Client(script.url, retry=RetryPolicy.none(), timeout=60) as client:
        return answer_structured(client, "m", QUESTION, [make.hit(TEXT)], schema)


def test_value_follows_the_schema_and_is_cited(script: Script) -> None:
    """The schema goes to the server as `format`; each value has its place and the span that supports it."""
    answer = ask(script, '{"key": "signing", "days": 90, "sure": true}')
    assert answer.value == {"key": "signing", "days": 90, "sure": True}
    assert script.asked[-1].body["format"] == SCHEMA
    assert [(sentence.text, sentence.support) for sentence in answer.sentences] == [
        ("$.key: signing", "supported"),
        ("$.days: 90", "supported"),
    ]
    assert [citation.quote for citation in answer.citations] == ["Signing keys are rotated every 90 days."]
    assert answer.notices == ()


def test_value_that_no_passage_has_is_marked(script: Script) -> None:
    """The others stay; where none is left there is no answer."""
    answer = ask(script, '{"key": "signing", "days": 77}')
    assert [sentence.support for sentence in answer.sentences] == ["supported", "unsupported"]
    assert answer.notices == ("no passage supports 1 of 2 values; do not rely on them",)
    answer = ask(script, '{"key": "golden", "days": 77}')
    assert (answer.answered, answer.value, answer.draft) == (False, None, '{"key": "golden", "days": 77}')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("90 days [1]", "wrote no JSON"),
        ('{"key": "signing", "da', "wrote no JSON"),
        ('{"key": "signing", "days": "90"}', r"does not follow the schema, at \$.days: '90' is not of type 'integer'"),
    ],
    ids=["ignores the format", "breaks off", "other schema"],
)
def test_reply_that_does_not_follow_the_schema_is_an_error(script: Script, text: str, message: str) -> None:
    """A server that ignores `format`, or a reply that is cut, gives nothing that looks valid."""
    with pytest.raises(BadReply, match=message):
        ask(script, text)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([], "no JSON object"),
        ({"type": "thing"}, "no JSON schema"),
        ({"properties": {"key": {"$ref": "https://example.invalid/key.json"}}}, "refers to what is not in it"),
    ],
)
def test_schema_that_is_none(script: Script, schema: Any, message: str) -> None:
    """Named as such, and nothing is fetched from elsewhere."""
    with pytest.raises(UsageError, match=message):
        ask(script, '{"key": "signing"}', schema)


def test_table_has_rows_of_one_length(script: Script) -> None:
    """What a row lacks is empty, what it has too much goes."""
    table = {"columns": ["key", "days"], "rows": [["signing", "90"], ["storage"], ["storage", "30", "x"]]}
    answer = ask(script, json.dumps(table), TABLE_SCHEMA)
    assert table_of(answer) == [["key", "days"], ["signing", "90"], ["storage", ""], ["storage", "30"]]


def test_real_server_holds_a_small_model_to_the_schema(models_folder: Path) -> None:
    """Even one that knows nothing writes valid JSON; whether it is right is for the check to say."""
    with App(ModelStore(models_folder)) as app:
        with Client("http://embedded", timeout=240, transport=InProcessTransport(app)) as client:
            answer = answer_structured(client, CHAT_MODEL, QUESTION, [make.hit(TEXT)], SCHEMA)
    value = answer.value if answer.answered else json.loads(answer.draft)
    assert set(value) <= {"key", "days", "sure"}
    assert isinstance(value["days"], int)
    assert len(answer.sentences) == (2 if answer.answered else 0)
