"""`pipeline generate`: one completion, streamed, for scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from pipeline.answer import choose_chat_model
from pipeline.api import as_json as record_json
from pipeline.api.fields import GenerateFields
from pipeline.cli.options import option_value, server_options, shared_options
from pipeline.cli.reporting import print_json
from pipeline.cli.session import announce
from pipeline.config import Config
from pipeline.errors import UsageError


@click.command(short_help="Complete a prompt.")
@click.argument("prompt", required=False)
@click.option("--chat-model", metavar="NAME", help="Model.  [default: qwen2.5-coder:1.5b, or one that is there]")
@click.option("--system", metavar="TEXT", help="System prompt, over the model's own.")
@click.option("--template", metavar="TEXT", help="Prompt template, over the model's own.")
@click.option("--suffix", metavar="TEXT", help="Text that follows the completion.")
@click.option("--raw", is_flag=True, help="Send the prompt as it stands, without template.")
@click.option("--format", "shape", metavar="json|FILE", help="Answer in JSON, or by the JSON schema in FILE.")
@click.option("--image", "images", type=click.Path(path_type=Path), multiple=True, help="Image to look at.")
@click.option("--think/--no-think", default=None, help="Reasoning, where the model has it.")
@click.option("--option", "options", metavar="NAME=VALUE", multiple=True, help="Option of the model, as num_ctx=8192.")
@click.option("--keep-alive", metavar="TIME", help="How long the model stays loaded, as 5m.")
@server_options
@shared_options
def generate(
    prompt: str | None,
    system: str | None,
    template: str | None,
    suffix: str | None,
    raw: bool,
    shape: str | None,
    images: tuple[Path, ...],
    think: bool | None,
    options: tuple[str, ...],
    keep_alive: str | None,
    config: Config,
    as_json: bool,
) -> int:
    """Complete PROMPT, or what comes on standard input, and print the text as it is written.

    With --json the whole reply is one JSON document, counts and durations in nanoseconds included.
    """
    text = _prompt(prompt)
    fields: GenerateFields = {
        "system": system,
        "template": template,
        "suffix": suffix,
        "raw": raw or None,
        "format": _format(shape),
        "images": [_bytes_of(path) for path in images] or None,
        "think": think,
        "options": dict(_option(item) for item in options) or None,
        "keep_alive": keep_alive,
    }
    with announce(config) as connection:
        model = choose_chat_model(connection.client, config.chat_model)
        if as_json:
            print_json(record_json(connection.client.generate(model, text, **fields)))
            return 0
        for piece in connection.client.generate_stream(model, text, **fields):
            click.echo(piece.response, nl=False)
    click.echo()
    return 0


def _prompt(given: str | None) -> str:
    if given is not None and given != "-":
        return given
    if given is None and sys.stdin.isatty():
        raise UsageError("there is no prompt", hint="pipeline generate PROMPT, or send it on standard input")
    return sys.stdin.read()


def _format(shape: str | None) -> Any:
    if shape is None or shape == "json":
        return shape
    try:
        schema = json.loads(_bytes_of(Path(shape)))
    except ValueError as error:
        raise UsageError(f"{shape} is no JSON: {error}", hint="give a file with a JSON schema") from error
    if not isinstance(schema, dict):
        raise UsageError(f"{shape} holds no JSON schema", hint="a schema is a JSON object")
    return schema


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="check the path") from error


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--option {text!r} has no value", hint="--option num_ctx=8192")
    return name, option_value(value)
