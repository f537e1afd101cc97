"""`pipeline doctor`: what is set up, what answers, what is wrong, what to do."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Literal

import click

from pipeline.cli.options import server_options, shared_options
from pipeline.cli.reporting import print_json
from pipeline.config import Config
from pipeline.connect import connect
from pipeline.errors import PipelineError
from pipeline.installed import install_command
from pipeline.store import collection_names, require_collection
from pipeline.version import VERSION

Verdict = Literal["ok", "warning", "error"]
COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `fix` says what to do where the verdict is not ok."""

    check: str
    verdict: Verdict
    detail: str
    fix: str = ""


@click.command(short_help="Check what is set up and say what to do.")
@server_options
@shared_options
def doctor(config: Config, as_json: bool) -> int:
    """Check the installation, the server that answers, its models, and every collection; say what to do.

    Ends with status 1 if something is wrong.
    """
    findings = [
        Finding(check="version", verdict="ok", detail=f"pipeline {VERSION}, Python {platform.python_version()}"),
        _home(config),
        _engine(),
        *_server(config),
        *_collections(config),
    ]
    if as_json:
        print_json({"checks": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = click.style(f"{finding.verdict:<8}", fg=COLOURS[finding.verdict])
            click.echo(f"{mark}{finding.check:<12} {finding.detail}")
            if finding.fix:
                click.echo(f"{'':<8}{'':<12} do: {finding.fix}")
    return 1 if any(finding.verdict == "error" for finding in findings) else 0


def _home(config: Config) -> Finding:
    place = config.home
    while not place.exists() and place != place.parent:
        place = place.parent
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(prefix=".pipeline-", dir=place):
        return Finding(check="home", verdict="ok", detail=str(config.home))
    return Finding(
        check="home",
        verdict="error",
        detail=f"{config.home} cannot be written to",
        fix="make it writable, or choose another place with --home or PIPELINE_HOME",
    )


def _engine() -> Finding:
    if importlib.util.find_spec("xllamacpp") is None:
        return Finding(
            check="engine",
            verdict="warning",
            detail="the embedded server is not installed; only an Ollama that runs already can be used",
            fix=install_command("embedded"),
        )
    return Finding(check="engine", verdict="ok", detail=f"xllamacpp {version('xllamacpp')}")


def _server(config: Config) -> list[Finding]:
    try:
        with connect(config) as connection:
            server = connection.client.version()
            names = [model.name for model in connection.client.tags()]
    except PipelineError as error:
        return [Finding(check="server", verdict="error", detail=error.message, fix=error.hint)]
    kind = "embedded server" if connection.embedded else f"Ollama at {', '.join(connection.client.hosts)}"
    findings = [Finding(check="server", verdict="ok", detail=f"{kind}, version {server}")]
    if names:
        findings.append(Finding(check="models", verdict="ok", detail=", ".join(names)))
    else:
        findings.append(
            Finding(
                check="models",
                verdict="warning",
                detail="the server has no model yet; one is pulled when it is first needed",
                fix="pipeline models pull all-minilm",
            )
        )
    return findings


def _collections(config: Config) -> list[Finding]:
    findings: list[Finding] = []
    for name in collection_names(config.home):
        try:
            snapshot = require_collection(config.home, name)
        except PipelineError as error:
            findings.append(Finding(check=f"collection {name}", verdict="error", detail=error.message, fix=error.hint))
            continue
        model = snapshot.manifest.model
        detail = f"{snapshot.manifest.live_rows} chunks, {model.name} ({model.dimension})"
        findings.append(Finding(check=f"collection {name}", verdict="ok", detail=detail))
    return findings
