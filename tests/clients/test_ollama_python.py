"""The official Python client."""

from typing import Any

import pytest

from tests.clients.conftest import PROGRAMS, Results, run_program
from tests.clients.environments import python_with, versions
from tests.clients.expected import OLLAMA

CLIENT = "ollama (Python)"
PACKAGES = ("ollama",)
EXPECTED = OLLAMA


@pytest.fixture(scope="module")
def results(server: str, record_version: Any) -> Results:
    python = python_with("ollama-python", *PACKAGES)
    record_version(CLIENT, versions(python, *PACKAGES))
    return run_program([str(python), str(PROGRAMS / "ollama_python.py")], server)


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", list(EXPECTED))
def test_endpoint(endpoint: str, results: Results) -> None:
    """The unmodified client gets what it understands, and the right values."""
    assert EXPECTED[endpoint](results[endpoint]), results[endpoint]
