"""`pipeline embed`: embeddings of texts, for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from pipeline.cli.options import server_options, shared_options
from pipeline.cli.reporting import print_json
from pipeline.cli.session import announce
from pipeline.config import DEFAULT_MODEL, Config
from pipeline.errors import UsageError


@click.command(short_help="Embed texts.")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option("--model", metavar="NAME", help="Embedding model.  [default: all-minilm]")
@click.option("--dimensions", type=click.IntRange(min=1), help="Cut each embedding to so many numbers.")
@click.option("--truncate", is_flag=True, help="Cut texts that are too long, instead of failing.")
@server_options
@shared_options
def embed(texts: tuple[str, ...], dimensions: int | None, truncate: bool, config: Config, as_json: bool) -> int:
    """Embed each TEXT, or each line of standard input, as it stands: without the model's prefixes.

    Prints a JSON array of numbers for each text, in order; with --json one JSON document.
    """
    inputs = list(texts) or _lines()
    model = config.model or DEFAULT_MODEL
    rows: list[Sequence[float]] = []
    tokens = 0
    with announce(config) as connection:
        for start in range(0, len(inputs), config.batch_size):
            batch = inputs[start : start + config.batch_size]
            reply = connection.client.embed(model, batch, truncate=truncate, dimensions=dimensions)
            tokens += reply.prompt_eval_count or 0
            if as_json:
                rows.extend(reply.matrix.tolist())
            else:
                for row in reply.matrix.tolist():
                    click.echo(json.dumps(row))
    if as_json:
        width = len(rows[0]) if rows else 0
        print_json({"model": model, "dimension": width, "embeddings": rows, "prompt_tokens": tokens})
    return 0


def _lines() -> list[str]:
    if sys.stdin.isatty():
        raise UsageError("there is no text", hint="pipeline embed TEXT, or send lines on standard input")
    return [line.rstrip("\n") for line in sys.stdin]
