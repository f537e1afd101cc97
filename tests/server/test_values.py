"""Durations, settings, options, schemas: pure functions with known values."""

import math

import pytest

from pipeline.server.decode import keep_alive
from pipeline.server.durations import LONGEST, InvalidDuration, parse_duration
from pipeline.server.generation import closed
from pipeline.server.options import resolve
from pipeline.server.prompts import cut_prompt
from pipeline.server.settings import ServerSettings


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("1h30m", 5400), ("300ms", 0.3), ("-1s", -1), ("0", 0), ("1.5h", 5400), ("+2us", 2e-6), (".5s", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations in the form of the real server's language."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-", "m", "5", "5 m", "five", "1h2"])
def test_bad_durations(text: str) -> None:
    """What is no duration says so."""
    with pytest.raises(InvalidDuration, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["2562048h", "9" * 5000 + "s", "-99999999999h"])
def test_durations_of_more_than_64_bits(text: str) -> None:
    """What the real server cannot count in nanoseconds is no duration; what it just can is one."""
    with pytest.raises(InvalidDuration, match="time: invalid duration"):
        parse_duration(text)
    assert parse_duration("2562047h47m16.854775807s") == pytest.approx(LONGEST)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (-1, math.inf),
        ("-1m", math.inf),
        (0, 0),
        (2.5, 2.5),
        ("2m", 120),
        (10**12, LONGEST),
        (10**400, LONGEST),
        (-(10**400), math.inf),
    ],
    ids=lambda value: str(value)[:20],
)
def test_keep_alive(value: object, seconds: float) -> None:
    """Numbers are seconds, at most some 292 years; negative means for ever."""
    assert keep_alive(value, "") == seconds


def test_settings_from_the_environment(caplog: pytest.LogCaptureFixture) -> None:
    """The OLLAMA_* variables are read, and what makes no sense is ignored, with a warning."""
    settings = ServerSettings.from_environment(
        {
            "OLLAMA_KEEP_ALIVE": "10m",
            "OLLAMA_MAX_LOADED_MODELS": "2",
            "OLLAMA_MAX_QUEUE": "many",
            "OLLAMA_NUM_PARALLEL": "3",
            "OLLAMA_ORIGINS": "https://a.example,app://b",
            "OLLAMA_CONTEXT_LENGTH": "2048",
        }
    )
    assert (settings.keep_alive, settings.max_loaded_models, settings.max_queue) == (600, 2, 512)
    assert settings.num_parallel == 3
    assert [record.message for record in caplog.records] == [
        "OLLAMA_MAX_QUEUE: 'many' makes no sense here; using the default, 512"
    ]
    assert settings.origins == ("https://a.example", "app://b")
    assert settings.context_length == 2048
    assert ServerSettings.from_environment({"OLLAMA_KEEP_ALIVE": "-1"}).keep_alive == math.inf
    assert ServerSettings.from_environment({"OLLAMA_KEEP_ALIVE": "60"}).keep_alive == 60


def test_options_of_the_request_win(caplog: pytest.LogCaptureFixture) -> None:
    """Request over model over default; nulls are ignored, and so are unknown names, with a warning."""
    options = resolve({"num_ctx": 256, "top_k": 5}, {"top_k": 9, "seed": 3, "new": 1, "num_predict": None})
    assert (options.context, options.sampling["top_k"], options.sampling["seed"]) == (256, 9, 3)
    assert options.num_predict == -1
    assert [record.message for record in caplog.records] == ["invalid option provided: new"]
    assert resolve({}, {}).context is None


def test_schemas_are_closed() -> None:
    """Objects take no other properties unless the schema says so; literals are left alone."""
    inner = {"type": "object", "properties": {"a": {}}}
    schema = {"anyOf": [inner, {"properties": {}, "additionalProperties": True}], "enum": [{"properties": {}}]}
    assert closed(schema) == {
        "anyOf": [{**inner, "additionalProperties": False}, {"properties": {}, "additionalProperties": True}],
        "enum": [{"properties": {}}],
    }


def test_prompt_cut_by_hand() -> None:
    """Ten of context, four kept: half of the other six stay free, so seven tokens are left of twelve."""
    assert cut_prompt(list(range(12)), context=10, keep=4) == [0, 1, 2, 3, 9, 10, 11]
