"""`pipeline web`: the search page and its HTTP API."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from pathlib import Path

import click

from pipeline.cli.options import model_option, shared_options
from pipeline.cli.reporting import notice, print_json
from pipeline.config import Config
from pipeline.errors import MissingExtra, UsageError

TOKEN_VARIABLE = "PIPELINE_WEB_TOKEN"  # noqa: S105 - a variable's name

GRACE_SECONDS = 5
"""How long requests may go on after the first Ctrl-C."""


@click.command(short_help="Open the search page and its HTTP API.")
@click.option(
    "--host", "listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="Port; 0: any free.")
@click.option("--token", metavar="TEXT", help=f"What each request must bring, over {TOKEN_VARIABLE}.")
@click.option(
    "--root",
    "roots",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    metavar="FOLDER",
    help="Folder below which may be indexed from the page; can be repeated.  [default: the working folder]",
)
@click.option("--server", "host", metavar="ADDRESS", multiple=True, help="Model server, over OLLAMA_HOST.")
@click.option("--chat-model", metavar="NAME", help="Chat model.  [default: qwen2.5-coder:1.5b, or one that is there]")
@model_option
@shared_options
def web(listen: str, port: int, token: str | None, roots: tuple[Path, ...], config: Config, as_json: bool) -> int:
    """Serve the search page and its HTTP API until it is interrupted.

    It listens on the loopback address unless told otherwise, and beyond that only with a token.
    """
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("anyio") is None:
        raise MissingExtra("what serves the page", extra="web")
    from pipeline.server import serve  # noqa: PLC0415 - heavy
    from pipeline.server.guard import is_loopback  # noqa: PLC0415 - heavy
    from pipeline.web import WebApp, WebSettings  # noqa: PLC0415 - heavy

    token = (token if token is not None else os.environ.get(TOKEN_VARIABLE, "")).strip()
    if not is_loopback(listen) and not token:
        raise UsageError(
            f"{listen} can be reached by others: that needs a token",
            hint=f"give --token, or set {TOKEN_VARIABLE}; or leave --host out",
        )

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "home": str(config.home)})
        notice(f"open {url}{'/#token=' + token if token else ''} in a browser; stop with Ctrl-C")
        threading.Thread(target=app.library.warm, name="warm", daemon=True).start()

    def waiting(count: int) -> None:
        requests = "1 request" if count == 1 else f"{count} requests"
        notice(f"waiting for {requests}, for {GRACE_SECONDS} seconds at most; Ctrl-C again stops now")

    folders = tuple(path.resolve() for path in roots) or (Path.cwd(),)
    app = WebApp(config, WebSettings(roots=folders, token=token))
    try:
        serve(app, listen, port, ready=ready, waiting=waiting, grace=GRACE_SECONDS)
    finally:
        # The program ends with this: a further signal could only make it look like a failure.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        app.close()
    return 0
