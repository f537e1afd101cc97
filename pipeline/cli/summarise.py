"""`pipeline summarise`: documents of a collection, summarised part by part, with citations."""

from __future__ import annotations

import time

import click

from pipeline.answer import marked_text
from pipeline.cli.ask import print_sources, status_of
from pipeline.cli.options import collection_option, model_option, server_options, shared_options
from pipeline.cli.progress import PartsBar
from pipeline.cli.reporting import print_json
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.shapes import answer_json


@click.command(short_help="Summarise documents of a collection.")
@collection_option
@click.option("--where", metavar="EXPR", help="Only documents that meet a condition; see docs/search.md.")
@click.option("--chat-model", metavar="NAME", help="Chat model.  [default: qwen2.5-coder:1.5b, or one that is there]")
@model_option
@server_options
@shared_options
def summarise(name: str, where: str | None, config: Config, as_json: bool) -> int:
    """Summarise the documents of a collection, or those that meet a condition.

    All of their passages are read, part by part; then the summaries of the parts are joined. Sentences cite passages by
    number, and those that no passage supports are marked.
    """
    started = time.perf_counter()
    with open_for_command(name, config) as collection, PartsBar() as bar:
        answer = collection.summarise(where=where, on_part=bar.done)
    if as_json:
        print_json(answer_json(answer, round(time.perf_counter() - started, 3)))
        return status_of(answer)
    click.echo(marked_text(answer, click.style("(not supported)", fg="red")))
    print_sources(answer)
    return status_of(answer)
