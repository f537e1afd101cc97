"""Options that commands share. In: a click command function. Out: it gets `config` and `as_json` as arguments."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.config import resolve_config

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_COLLECTION = "default"


def shared_options(function: Command) -> Command:
    """Adds --home and --json; resolves the settings once."""

    @click.option("--home", type=click.Path(path_type=Path), help="Where collections and models are kept.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else there.")
    @functools.wraps(function)
    def wrapper(*args: Any, home: Path | None, as_json: bool, **kwargs: Any) -> Any:
        flags = {name: kwargs.pop(name, None) for name in SETTINGS}
        if isinstance(flags["host"], tuple):
            flags["host"] = ",".join(flags["host"]) or None
        if kwargs.pop("no_pull", False):
            flags["pull"] = False
        config = resolve_config({"home": home, **flags}, environ=os.environ, folder=Path.cwd())
        return function(*args, config=config, as_json=as_json, **kwargs)

    return wrapper  # type: ignore[return-value]  # click's decorators keep the function's type


SETTINGS = (
    "host",
    "model",
    "chat_model",
    "concurrency",
    "batch_size",
    "timeout",
    "query_prefix",
    "document_prefix",
)


def server_options(function: Command) -> Command:
    """Adds what commands need that talk to a model: --host, --timeout, --no-pull."""
    for option in (
        click.option(
            "--host",
            metavar="ADDRESS",
            multiple=True,
            help="Server to use, over OLLAMA_HOST; several share the embedding; `embedded` for the one inside.",
        ),
        click.option("--timeout", type=float, metavar="SECONDS", help="Limit for one request.  [default: 300]"),
        click.option("--no-pull", is_flag=True, help="Fail rather than pull a model that the server lacks."),
    ):
        function = option(function)
    return function


def batch_options(function: Command) -> Command:
    """Adds --batch-size and --concurrency: how texts go to the server."""
    for option in (
        click.option("--concurrency", type=int, metavar="N", help="Requests in flight on a host.  [default: 4]"),
        click.option("--batch-size", type=int, metavar="N", help="Texts in one request.  [default: 32]"),
    ):
        function = option(function)
    return function


def prefix_options(function: Command) -> Command:
    """Adds --query-prefix and --document-prefix: what the model is to see before every text."""
    for option in (
        click.option(
            "--document-prefix",
            metavar="TEXT",
            help="Put before every passage for the model, for a new collection.  [default: that of the known model]",
        ),
        click.option("--query-prefix", metavar="TEXT", help="The same for queries; the collection records both."),
    ):
        function = option(function)
    return function


def chunker_options(function: Command) -> Command:
    """Adds --chunker, --chunk-tokens and --language: how a new collection is cut, and read."""
    for option in (
        click.option(
            "--language",
            metavar="CODE",
            help="Language of documents that state none, for a new collection; auto: by their words; none: left open.  "
            "[default: auto]",
        ),
        click.option(
            "--chunk-tokens",
            type=click.IntRange(min=16),
            metavar="N",
            help="Longest chunk, for a new collection.  [default: 256]",
        ),
        click.option(
            "--chunker",
            multiple=True,
            metavar="NAME[:TOKENS[:OVERLAP]]",
            help="How a new collection is cut: structure, sentences, fixed or code; FORMAT=NAME for one format only.  "
            "[default: structure]",
        ),
    ):
        function = option(function)
    return function


def option_value(text: str) -> Any:
    """The value of a model's option as it was typed: numbers, switches and lists as JSON has them, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


collection_option = click.option(
    "-c",
    "--collection",
    "name",
    default=DEFAULT_COLLECTION,
    show_default=True,
    metavar="NAME",
    help="Collection.",
)
model_option = click.option(
    "--model", metavar="NAME", help="Embedding model.  [default: the collection's, or all-minilm]"
)
