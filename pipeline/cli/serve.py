"""`pipeline serve`: the embedded server on a socket, for any program that speaks to Ollama."""

from __future__ import annotations

import os
import signal

import click

from pipeline.api import parse_host
from pipeline.cli.options import shared_options
from pipeline.cli.reporting import notice, print_json
from pipeline.config import Config
from pipeline.connect import embedded_app

GRACE_SECONDS = 10
"""How long requests may go on after the first Ctrl-C."""


@click.command(short_help="Run the embedded Ollama-compatible server.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on, over OLLAMA_HOST.  [default: 127.0.0.1:11434]")
@shared_options
def serve(config: Config, as_json: bool) -> int:
    """Run the embedded Ollama-compatible server on OLLAMA_HOST until it is interrupted.

    It listens on the loopback address unless told otherwise. Models are kept in OLLAMA_MODELS, or below --home.
    """
    from pipeline.server import ModelStore, pruning  # noqa: PLC0415 - heavy
    from pipeline.server import serve as serve_app  # noqa: PLC0415 - heavy

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "models": str(config.models_folder)})
        notice(f"listening on {url}, models in {config.models_folder}; stop with Ctrl-C")

    def waiting(count: int) -> None:
        requests = "1 request" if count == 1 else f"{count} requests"
        notice(f"waiting for {requests}, for {GRACE_SECONDS} seconds at most; Ctrl-C again stops now")

    if not ModelStore(config.models_folder).prepare():
        notice(f"{config.models_folder} is read-only: models can be served, but not pulled, created or deleted")
    address = parse_host(config.host or "")
    app = embedded_app(config)
    try:
        if pruning.is_wanted(os.environ):
            app.prune()
        serve_app(app, address.host, address.port, ready=ready, waiting=waiting, grace=GRACE_SECONDS)
    finally:
        # The program ends with this: a further signal could only make it look like a failure.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        app.close()
    return 0
