"""`pipeline serve`: the embedded server on a socket, for any program that speaks to Ollama."""

from __future__ import annotations

import click

from pipeline.cli.options import shared_options
from pipeline.config import Config


@click.command(short_help="Run the embedded Ollama-compatible server.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on, over OLLAMA_HOST.  [default: 127.0.0.1:11434]")
@shared_options
def serve(config: Config, as_json: bool) -> int:
    """Run the embedded Ollama-compatible server on OLLAMA_HOST until it is interrupted.

    It listens on the loopback address unless told otherwise. Models are kept in OLLAMA_MODELS, or below --home.
    """
