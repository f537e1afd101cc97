"""`pipeline collections re-embed`: moves a collection to another embedding model."""

from __future__ import annotations

import click

from pipeline.cli.options import batch_options, model_option, server_options, shared_options
from pipeline.cli.progress import RowBar
from pipeline.cli.reporting import print_json
from pipeline.cli.session import announce
from pipeline.config import Config
from pipeline.embed import Embedder
from pipeline.errors import UsageError
from pipeline.reembed import re_embed
from pipeline.store import require_collection


@click.command("re-embed", short_help="Move a collection to another embedding model.")
@click.argument("name")
@model_option
@batch_options
@server_options
@shared_options
def re_embed_command(name: str, config: Config, as_json: bool) -> int:
    """Embed the passages of collection NAME with another model, and switch to it once all are done.

    The documents are not read again, and searching works meanwhile, with the old model. Ctrl-C loses nothing: the same
    command goes on.
    """
    layout = require_collection(config.home, name).layout
    if config.model is None:
        raise UsageError("no model to move to", hint=f"pipeline collections re-embed {name} --model M")
    model = config.model
    with announce(config) as connection, RowBar("chunks") as bar:
        embedder = Embedder(
            lambda: connection.client, model, batch_size=config.batch_size, concurrency=config.concurrency
        )
        report = re_embed(layout, embedder, on_chunks=bar)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(
            f"{name}: moved from {report.old_model} to {report.model} ({report.dimension}); chunks: "
            f"{report.embedded} embedded, {report.reused} reused; {report.seconds:.1f} s"
        )
    return 0
