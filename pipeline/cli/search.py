"""`pipeline search`: ranked passages for a query."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from pipeline.cli.options import collection_option, model_option, server_options, shared_options
from pipeline.cli.reporting import place, print_json
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.types import Hit

EXCERPT_LINES = 6


@click.command(short_help="Find passages by meaning.")
@click.argument("query")
@collection_option
@click.option("-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="How many passages.")
@click.option("--full", is_flag=True, help="Print passages whole.")
@model_option
@server_options
@shared_options
def search(query: str, name: str, k: int, full: bool, config: Config, as_json: bool) -> int:
    """Find the passages of a collection that are nearest to QUERY in meaning, best first."""
    started = time.perf_counter()
    with open_for_command(name, config) as collection:
        hits = collection.search(query, k=k)
    seconds = round(time.perf_counter() - started, 3)
    if as_json:
        shown = [hit_json(hit) for hit in hits]
        print_json({"query": query, "collection": name, "mode": "dense", "hits": shown, "seconds": seconds})
        return 0
    for hit in hits:
        print_hit(hit, full=full)
    if not hits:
        click.echo("the collection is empty", err=True)
    return 0


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit in the shape of `search --json`; paths are absolute."""
    return asdict(hit)


def print_hit(hit: Hit, *, full: bool = False) -> None:
    """Rank, score and place in one line, then the passage."""
    where = click.style(place(hit.path, hit.start_line, hit.end_line, hit.page), fg="cyan")
    heading = click.style(f"  {hit.heading}", dim=True) if hit.heading else ""
    click.echo(f"{hit.rank:>2}. {hit.score:.3f}  {where}{heading}")
    lines = hit.text.splitlines()
    for line in lines if full else lines[:EXCERPT_LINES]:
        click.echo(f"    {line}")
    if not full and len(lines) > EXCERPT_LINES:
        click.secho(f"    … {len(lines) - EXCERPT_LINES} more lines", dim=True)
    click.echo()
