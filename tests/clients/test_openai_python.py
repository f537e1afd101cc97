"""The OpenAI Python client, on the endpoints below /v1."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.clients.conftest import PROGRAMS, Results, run_program
from tests.clients.environments import python_with, versions
from tests.clients.expected import COMMON, HELLO, Check

CLIENT = "openai (Python)"
PACKAGES = ("openai",)
EXPECTED: Mapping[str, Check] = {
    **COMMON,
    "embed": lambda value: value == [[384, 384], True, 16, 6],
    "chat": lambda value: value == ["assistant", HELLO, "length", 8, "completed"],
    "generate": lambda value: value == [HELLO, "length", 8],
    "stream": lambda value: value == [HELLO, HELLO, True, 8, "response.created"],
    "list": lambda value: {"all-minilm:latest", "smollm2:135m"} <= set(value),
    "show": lambda value: value == ["all-minilm", "library"],
}


@pytest.fixture(scope="module")
def results(server: str, record_version: Any) -> Results:
    python = python_with("openai-python", *PACKAGES)
    record_version(CLIENT, versions(python, *PACKAGES))
    return run_program([str(python), str(PROGRAMS / "openai_python.py")], server)


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", list(EXPECTED))
def test_endpoint(endpoint: str, results: Results) -> None:
    """The unmodified client gets what it understands, and the right values."""
    assert EXPECTED[endpoint](results[endpoint]), results[endpoint]
