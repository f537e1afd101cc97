"""`pipeline collections list|show`: what collections there are and what is in them."""

from __future__ import annotations

from typing import Any

import click

from pipeline.cli.options import DEFAULT_COLLECTION, shared_options
from pipeline.cli.reporting import notice, print_json, shown_path
from pipeline.config import Config
from pipeline.shapes import collection_json, collections_json
from pipeline.store import require_collection


@click.command("list", short_help="The collections here.")
@shared_options
def list_collections(config: Config, as_json: bool) -> int:
    """The collections here, with their model and size. Ends with status 1 if one of them is damaged."""
    shown = collections_json(config.home)
    rows = shown["collections"]
    if as_json:
        print_json(shown)
    else:
        for row in rows:
            if "error" in row:
                notice(f"{row['collection']}: {row['error']}")
            else:
                click.echo(
                    f"{row['collection']}: {row['documents']} documents, {row['chunks']} chunks, "
                    f"{row['model']} ({row['dimension']}), updated {row['updated']}"
                    + (f"; {_moving(row['moving'])}" if row["moving"] else "")
                )
        if not rows:
            notice(f"no collections in {config.home}; make one with: pipeline index PATH")
    return 1 if any("error" in row for row in rows) else 0


@click.command("show", short_help="What is in a collection.")
@click.argument("name", default=DEFAULT_COLLECTION)
@shared_options
def show(name: str, config: Config, as_json: bool) -> int:
    """What is in collection NAME: its model, settings, segments and documents."""
    snapshot = require_collection(config.home, name)
    details = collection_json(snapshot)
    if as_json:
        print_json(details)
        return 0
    details["chunker"] = ", ".join(f"{key} {value}" for key, value in details["chunker"].items())
    for key in (
        "collection",
        "folder",
        "model",
        "digest",
        "dimension",
        "metric",
        "chunker",
        "created",
        "updated",
    ):
        click.echo(f"{key:<10} {details[key]}")
    if details["moving"]:
        click.echo(f"{'moving':<10} {_moving(details['moving'])}")
    click.echo(f"{'segments':<10} {len(details['segments'])}, {details['bytes']:,} bytes")
    click.echo(f"{'index':<10} {_index(details['segments'])}")
    click.echo(f"{'chunks':<10} {details['chunks']}")
    click.echo(f"{'documents':<10} {details['documents']}")
    for document in details["files"]:
        click.echo(f"  {document['chunks']:>5}  {shown_path(document['path'])}")
    return 0


def _index(segments: list[dict[str, Any]]) -> str:
    """How the vectors are searched: all compared, or through an index whose recall was measured."""
    indexed = [segment for segment in segments if segment["index"]]
    if not indexed:
        return "none: every vector is compared"
    recall = min(segment["index"]["recall"] for segment in indexed)
    rows = sum(segment["rows"] for segment in indexed)
    return f"{rows:,} of {sum(segment['rows'] for segment in segments):,} chunks, recall {recall:.3f}"


def _moving(move: dict[str, Any]) -> str:
    """`collections re-embed` that was cut short, or is at work."""
    return f"moving to {move['model']} ({move['dimension']}), {move['chunks']} of {move['of']} chunks embedded"
