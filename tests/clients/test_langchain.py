"""LangChain's package for Ollama."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.clients.conftest import PROGRAMS, Results, run_program
from tests.clients.environments import python_with, versions
from tests.clients.expected import COMMON, HELLO, Check

CLIENT = "langchain-ollama"
PACKAGES = ("langchain-ollama", "langchain-core")
EXPECTED: Mapping[str, Check] = {
    **COMMON,
    "embed": lambda value: value == [[384, 384], 384],
    "chat": lambda value: value == ["ai", HELLO, "length", 8],
    "generate": lambda value: value == HELLO,
    "stream": lambda value: value == [HELLO, HELLO, True],
}


@pytest.fixture(scope="module")
def results(server: str, record_version: Any) -> Results:
    python = python_with("langchain", *PACKAGES)
    record_version(CLIENT, versions(python, *PACKAGES))
    return run_program([str(python), str(PROGRAMS / "langchain_client.py")], server)


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", list(EXPECTED))
def test_endpoint(endpoint: str, results: Results) -> None:
    """The unmodified client gets what it understands, and the right values."""
    assert EXPECTED[endpoint](results[endpoint]), results[endpoint]
