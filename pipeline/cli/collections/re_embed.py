"""`pipeline collections re-embed`: moves a collection to another embedding model."""

from __future__ import annotations

import click

from pipeline.cli.options import batch_options, model_option, prefix_options, server_options, shared_options
from pipeline.cli.progress import RowBar
from pipeline.cli.reporting import can_go_on, notice, print_json
from pipeline.cli.session import announce
from pipeline.config import Config
from pipeline.embed import Embedder
from pipeline.errors import PipelineError, UsageError
from pipeline.interrupts import termination_raised
from pipeline.memory import return_freed_memory
from pipeline.reembed import drop_move, re_embed, unfinished_move
from pipeline.store import require_collection


@click.command("re-embed", short_help="Move a collection to another embedding model.")
@click.argument("name")
@click.option("--drop", is_flag=True, help="Forget a move that was cut short, and keep the model that there is.")
@model_option
@prefix_options
@batch_options
@server_options
@shared_options
def re_embed_command(name: str, drop: bool, config: Config, as_json: bool) -> int:
    """Embed the passages of collection NAME with another model, and switch to it once all are done.

    The documents are not read again, and searching works meanwhile, with the old model. Ctrl-C loses nothing: the same
    command goes on, `collections show` says how far it came, and --drop forgets it.
    """
    return_freed_memory()
    snapshot = require_collection(config.home, name)
    layout = snapshot.layout
    if drop:
        drop_move(layout)
        if as_json:
            print_json({"collection": name, "dropped": True})
        else:
            click.echo(f"{name}: stays with {snapshot.manifest.model.name}; what was embedded for the move is gone")
        return 0
    if config.model is None:
        raise UsageError("no model to move to", hint=f"pipeline collections re-embed {name} --model M")
    model = config.model
    with termination_raised(), can_go_on(), announce(config) as connection, RowBar("chunks") as bar:
        embedder = Embedder(
            lambda: connection.client,
            model,
            batch_size=config.batch_size,
            concurrency=config.concurrency,
            query_prefix=config.query_prefix,
            document_prefix=config.document_prefix,
        )
        try:
            report = re_embed(layout, embedder, on_chunks=bar)
        except (PipelineError, KeyboardInterrupt):
            if not as_json and (move := unfinished_move(snapshot)):
                notice(f"stopped early; kept: {move.chunks} of {move.of} chunks embedded with {move.model}")
            raise
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(
            f"{name}: moved from {report.old_model} to {report.model} ({report.dimension}); chunks: "
            f"{report.embedded} embedded, {report.reused} reused; {report.seconds:.1f} s"
        )
    return 0
