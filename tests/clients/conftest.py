"""A server with a store of its own for the foreign clients, and the table of what they did with it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.server import App, ModelStore, run_in_thread
from tests.server.conftest import CHAT, EMBED, link_store, store

__all__ = ["store"]

PROGRAMS = Path(__file__).parent / "programs"
COLUMNS = (
    "embed",
    "chat",
    "generate",
    "stream",
    "format",
    "tools",
    "list",
    "show",
    "ps",
    "create",
    "copy",
    "delete",
    "pull",
    "errors",
)
TABLE = pytest.StashKey[dict[str, dict[str, str]]]()
VERSIONS = pytest.StashKey[dict[str, str]]()

Results = dict[str, Any]


@pytest.fixture(scope="session")
def server(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    link_store(store, folder)
    with App(ModelStore(folder)) as app, run_in_thread(app) as url:
        yield url


@pytest.fixture(scope="session")
def record_version(pytestconfig: pytest.Config) -> Callable[[str, str], None]:
    """For the table: which packages a client consists of."""
    return pytestconfig.stash.setdefault(VERSIONS, {}).__setitem__


def run_program(command: list[str], server: str, *, cwd: Path | None = None) -> Results:
    """What a program in `programs` reported: a value for each endpoint, or `{"failed": traceback}`."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "PYTHON", "OPENAI_"))
    }
    settings = {"HAYSTACK_TELEMETRY_ENABLED": "False", "LANGCHAIN_TRACING_V2": "false", "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        [*command, server, EMBED, CHAT],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environment, **settings},
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"endpoint"')]
    return {line["endpoint"]: line["value"] for line in lines}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Notes each test that has an `endpoint` for the table."""
    report: Any = yield
    name = getattr(item.module, "CLIENT", None) if isinstance(item, pytest.Function) else None
    if name and isinstance(item, pytest.Function) and report.when == "call" and "endpoint" in item.callspec.params:
        table = item.config.stash.setdefault(TABLE, {})
        table.setdefault(name, {})[item.callspec.params["endpoint"]] = "passed" if report.passed else "**failed**"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = config.stash.get(TABLE, {})
    if not table:
        return
    versions = config.stash.get(VERSIONS, {})
    terminalreporter.section("clients by endpoint")
    terminalreporter.write_line("| client | " + " | ".join(COLUMNS) + " |")
    terminalreporter.write_line("| --- " * (len(COLUMNS) + 1) + "|")
    for name, row in table.items():
        terminalreporter.write_line(
            f"| {name} ({versions.get(name, '')}) | " + " | ".join(row.get(column, "–") for column in COLUMNS) + " |"
        )
