"""How answers are asked for: examples, quotes, JSON that a grammar forces; what is shown while it comes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.answer import PROMPTS, Prompt, answer_with_model
from pipeline.answer.passages import select_passages
from pipeline.answer.prompt import TAILS, messages_for
from pipeline.answer.sentence_json import schema_for, text_of
from pipeline.api import Client, RetryPolicy
from pipeline.server import App, InProcessTransport, ModelStore
from pipeline.types import Answer as Answered
from tests import make
from tests.api.scripted_server import Answer, Script, as_json, lines, scripted_server
from tests.conftest import CHAT_MODEL

QUESTION = "How often are signing keys rotated, and by whom?"
KEYS = "Signing keys are rotated every ninety days. The engineer on call does it."
HITS = [make.hit(KEYS), make.hit("The kitchen closes at ten.", rank=2)]
PASSAGES = select_passages(HITS, budget=1000).passages


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def ask(script: Script, *pieces: str, cut: bool = False, prompt: Prompt = "grammar") -> tuple[Answered, list[str]]:
    """The answer to a reply in pieces, and what was shown while it came."""
    said = [lines({"message": {"content": piece}, "done": False}) for piece in pieces]
    end = [] if cut else [lines({"message": {"content": ""}, "done": True})]
    script.answers = [
        as_json({"model_info": {"llama.context_length": 8192}}),
        Answer(pieces=(*said, *end), cut=cut),
    ]
    shown: list[str] = []
    with Client(script.url, retry=RetryPolicy.none(), timeout=60) as client:
        return answer_with_model(client, "m", QUESTION, HITS, on_text=shown.append, prompt=prompt), shown


def test_schema_allows_sentences_with_sources_or_the_refusal() -> None:
    """Nothing else: no other number, no empty list, no other refusal."""
    validator = Draft202012Validator(schema_for(PASSAGES))

    def valid(value: Any) -> bool:
        return validator.is_valid(value)

    assert valid({"sentences": [{"text": "Every ninety days.", "source": 1}, {"text": "At ten.", "source": 2}]})
    assert valid({"refusal": "I don't know"})
    assert not valid({"refusal": "no"})
    assert not valid({"sentences": []})
    assert not valid({"sentences": [{"text": "Every ninety days.", "source": 3}]})
    assert not valid({"sentences": [{"text": "Every ninety days."}]})


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ('{"sentences": [{"text": "Every 90 days.", "source": 1}]}', "Every 90 days. [1]"),
        ('{"sentences":[{"text":"One","source":1},{"text":"\\"Two\\" [2]?","source":2}]}', 'One. [1] "Two"? [2]'),
        ('{"sentences": [{"text": "Fünf \\u00e4ä", "source": 12}, {"text": "cut', "Fünf ää. [12]"),
        ('{"sentences": [{"text": "Not whole", "sou', ""),
        (' {"refusal": "I don\'t know"}', "I don't know"),
        ("Every 90 days [1].", "Every 90 days [1]."),
        ("", ""),
    ],
)
def test_text_is_made_of_whole_sentences(reply: str, text: str) -> None:
    """Each with its mark at its end; a reply that is no JSON, from a server without `format`, stays as it is."""
    assert text_of(reply) == text


def test_sentences_are_shown_as_they_come(script: Script) -> None:
    """One after the other, each when it is whole, and never JSON; then they are checked like any answer."""
    answer, shown = ask(
        script,
        '{"sentences": [{"text": "Signing keys are rotated ',
        'every ninety days.", "source": 1}, {"text": "The eng',
        'ineer on call does it.", "source": 1}]}',
    )
    assert shown == ["Signing keys are rotated every ninety days. [1]", " The engineer on call does it. [1]"]
    assert answer.text == "".join(shown)
    assert [sentence.support for sentence in answer.sentences] == ["supported", "supported"]
    body = script.asked[-1].body
    assert body["format"] == schema_for(PASSAGES)
    assert '{"refusal": "I don\'t know"}' in body["messages"][-1]["content"]


def test_wrong_source_is_put_right(script: Script) -> None:
    """A number that the passage does not bear out gets the right one beside it, as in any answer."""
    answer, _ = ask(script, '{"sentences": [{"text": "Keys are rotated every 90 days.", "source": 2}]}')
    assert answer.answered is False  # the passage says ninety, not 90: nothing supports it
    answer, _ = ask(script, '{"sentences": [{"text": "Signing keys are rotated every ninety days.", "source": 2}]}')
    assert answer.answered is True
    assert answer.sentences[0].number == 1


def test_refusal_in_json_is_a_refusal(script: Script) -> None:
    """It is not answered, and no JSON is left in the text."""
    answer, shown = ask(script, '{"refusal": "I don\'t know"}')
    assert answer.answered is False
    assert "{" not in answer.text
    assert shown == ["I don't know"]


def test_what_came_before_a_break_is_kept(script: Script) -> None:
    """The sentences that were whole are the answer; the half one is not shown."""
    answer, shown = ask(
        script, f'{{"sentences": [{{"text": "{KEYS[:43]}", "source": 1}}, ', '{"text": "The engi', cut=True
    )
    assert (answer.text, answer.stopped) == ("Signing keys are rotated every ninety days. [1]", "interrupted")
    assert "".join(shown) == answer.text


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts_differ_in_what_follows_the_question_only(script: Script, prompt: Prompt) -> None:
    """All begin as the plain one, so that a server reads the passages once; a schema goes along with one of them."""
    ask(script, f"{KEYS} [1]", prompt=prompt)
    plain = messages_for(QUESTION, PASSAGES)
    body = script.asked[-1].body
    assert body["messages"][0] == plain[0]
    assert body["messages"][1]["content"].removeprefix(plain[1]["content"]).strip() == TAILS[prompt]
    assert ("format" in body) == (prompt == "grammar")


def test_a_real_model_is_held_by_the_grammar(models_folder: Any) -> None:
    """However small, it writes sentences with numbers of passages, or the refusal."""
    with App(ModelStore(models_folder)) as app:
        with Client("http://embedded", timeout=240, transport=InProcessTransport(app)) as client:
            reply = client.chat(
                CHAT_MODEL,
                messages_for(QUESTION, PASSAGES, tail=TAILS["grammar"]),
                format=schema_for(PASSAGES),
                options={"temperature": 0, "num_predict": 300, "num_ctx": 4096},
            )
    assert Draft202012Validator(schema_for(PASSAGES)).is_valid(json.loads(reply.message.content))
