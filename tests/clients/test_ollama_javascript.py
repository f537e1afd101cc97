"""The official JavaScript client."""

import json
from typing import Any

import pytest

from tests.clients.conftest import PROGRAMS, Results, run_program
from tests.clients.environments import node_with
from tests.clients.expected import OLLAMA

CLIENT = "ollama (JavaScript)"
PACKAGES = ("ollama",)
EXPECTED = OLLAMA


@pytest.fixture(scope="module")
def results(server: str, record_version: Any) -> Results:
    node, folder = node_with("ollama-javascript", *PACKAGES)
    installed = json.loads((folder / "node_modules" / "ollama" / "package.json").read_text())
    record_version(CLIENT, f"ollama {installed['version']}")
    return run_program([str(node), str(PROGRAMS / "ollama_javascript.mjs")], server, cwd=folder)


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", list(EXPECTED))
def test_endpoint(endpoint: str, results: Results) -> None:
    """The unmodified client gets what it understands, and the right values."""
    assert EXPECTED[endpoint](results[endpoint]), results[endpoint]
