"""`pipeline models list|pull`: the models of the server that answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from pipeline.cli.options import server_options, shared_options
from pipeline.cli.progress import PullBar
from pipeline.cli.reporting import notice, print_json
from pipeline.cli.session import announce
from pipeline.config import Config

GIB = 2**30
MIB = 2**20


@click.group(short_help="Look after the server's models.")
def models() -> None:
    """Look after the models of the server that answers."""


@models.command("list", short_help="The models on the server.")
@server_options
@shared_options
def list_models(config: Config, as_json: bool) -> int:
    """The models on the server, with size, kind and digest; with the embedded server, also those it can pull."""
    with announce(config) as connection:
        entries: list[dict[str, Any]] = [
            {
                "name": model.name,
                "size": model.size,
                "digest": model.digest,
                "capabilities": list(model.capabilities),
                "modified_at": model.modified_at,
            }
            for model in connection.client.tags()
        ]
        can_pull = available() if connection.embedded else []
    if as_json:
        print_json({"embedded": connection.embedded, "models": entries, "available": can_pull})
        return 0
    for entry in entries:
        kinds = ", ".join(entry["capabilities"])
        click.echo(f"{entry['name']:<28} {_size(entry['size']):>9}  {entry['digest'][:12]}  {kinds}")
    have = {entry["name"] for entry in entries}
    for entry in can_pull:
        if entry["name"] not in have:
            click.echo(f"{entry['name']:<28} {_size(entry['size']):>9}  not pulled    {entry['licence']}")
    return 0


@models.command("pull", short_help="Pull a model.")
@click.argument("model")
@server_options
@shared_options
def pull(model: str, config: Config, as_json: bool) -> int:
    """Pull MODEL onto the server. The embedded server has a catalogue of its own: see `models list`."""
    bar = PullBar(model)
    with announce(config) as connection:
        for progress in connection.client.pull_stream(model):
            if as_json:
                print_json({key: value for key, value in asdict(progress).items() if value is not None})
            else:
                bar(progress)
    if not as_json:
        notice(f"{model} is ready")
    return 0


def available() -> list[dict[str, Any]]:
    """What the embedded server can pull."""
    from pipeline.server.weights import CATALOGUE  # noqa: PLC0415 - only with the embedded server

    return [{"name": weights.name, "size": weights.size, "licence": weights.licence} for weights in CATALOGUE.values()]


def _size(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
