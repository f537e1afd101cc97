"""The group of commands: each is in a file of its own, or with one that it shares something with."""

from __future__ import annotations

import click

from pipeline.cli.collections.exchange import export, import_file
from pipeline.cli.collections.map import map_command
from pipeline.cli.collections.optimize import optimize
from pipeline.cli.collections.re_embed import re_embed_command
from pipeline.cli.collections.remove import remove
from pipeline.cli.collections.show import list_collections, show
from pipeline.cli.collections.verify import verify


@click.group(short_help="Look after collections.")
def collections() -> None:
    """Look after collections."""


for command in (
    list_collections,
    show,
    map_command,
    verify,
    optimize,
    re_embed_command,
    export,
    import_file,
    remove,
):
    collections.add_command(command)
