"""`pipeline collections remove`: takes a collection off the disk, after asking."""

from __future__ import annotations

import click

from pipeline.cli.options import shared_options
from pipeline.cli.reporting import confirm_removal, notice, print_json
from pipeline.config import Config
from pipeline.store import Layout, remove_collection, require_folder


@click.command("remove", short_help="Remove a collection.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared_options
def remove(name: str, yes: bool, config: Config, as_json: bool) -> int:
    """Remove collection NAME with all that is in it, after asking. The documents themselves are not touched."""
    layout = Layout.of(config.home, name)
    require_folder(layout)
    confirm_removal(f"collection {name} in {layout.root}", yes=yes)
    remove_collection(layout)
    if as_json:
        print_json({"removed": name})
    else:
        notice(f"collection {name} is removed")
    return 0
