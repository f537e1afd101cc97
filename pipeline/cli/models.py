"""`pipeline models ...`: the management endpoints of the server that answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pipeline.api import Modelfile, Progress, parse_modelfile, plan_create
from pipeline.api import as_json as record_json
from pipeline.cli.options import server_options, shared_options
from pipeline.cli.progress import TransferBars
from pipeline.cli.reporting import can_go_on, confirm_removal, notice, print_json
from pipeline.cli.session import announce
from pipeline.config import Config
from pipeline.errors import UsageError
from pipeline.shapes import models_json

GIB = 2**30
MIB = 2**20


@click.group(short_help="Look after the server's models.")
def models() -> None:
    """Look after the models of the server that answers."""


@models.command("list", short_help="The models on the server.")
@server_options
@shared_options
def list_models(config: Config, as_json: bool) -> int:
    """The models on the server, with size, kind and digest; with the embedded server, also those it can pull."""
    with announce(config) as connection:
        shown = models_json(connection.client.tags(), embedded=connection.embedded)
    if as_json:
        print_json(shown)
        return 0
    entries = shown["models"]
    for entry in entries:
        kinds = ", ".join(entry["capabilities"])
        click.echo(f"{entry['name']:<28} {shown_size(entry['size']):>9}  {entry['digest'][:12]}  {kinds}")
    have = {entry["name"] for entry in entries}
    for entry in shown["available"]:
        if entry["name"] not in have:
            click.echo(f"{entry['name']:<28} {shown_size(entry['size']):>9}  not pulled    {entry['licence']}")
    return 0


@models.command("show", short_help="What is known of a model.")
@click.argument("name", metavar="MODEL")
@click.option("--verbose", is_flag=True, help="Also the tokenizer's vocabulary and the tensors.")
@click.option("--modelfile", is_flag=True, help="Only the Modelfile.")
@server_options
@shared_options
def show(name: str, verbose: bool, modelfile: bool, config: Config, as_json: bool) -> int:
    """Architecture, context, dimension, capabilities, parameters, template and licence of MODEL."""
    with announce(config) as connection:
        reply = connection.client.show(name, verbose=verbose)
    if as_json:
        print_json(record_json(reply))
        return 0
    if modelfile:
        click.echo(reply.modelfile)
        return 0
    details = reply.details
    rows: list[tuple[str, Any]] = [
        ("family", details.family),
        ("parameters", details.parameter_size),
        ("quantization", details.quantization_level),
        *_model_facts(reply.model_info),
        ("capabilities", ", ".join(reply.capabilities)),
        ("licence", reply.license.strip().split("\n")[0]),
    ]
    for label, value in rows:
        if value:
            click.echo(f"{label:<16} {value}")
    for title, text in (("settings", reply.parameters), ("system", reply.system), ("template", reply.template)):
        if text.strip():
            click.echo(f"\n{title}:\n{_indented(text)}")
    return 0


@models.command("ps", short_help="The models that are loaded.")
@server_options
@shared_options
def ps(config: Config, as_json: bool) -> int:
    """The models that are in the server's memory, with size, context and when they will be unloaded."""
    with announce(config) as connection:
        running = connection.client.ps()
    if as_json:
        print_json({"models": [record_json(model) for model in running]})
        return 0
    for model in running:
        click.echo(
            f"{model.name:<28} {shown_size(model.size):>9}  context {model.context_length}  until {model.expires_at}"
        )
    return 0


@models.command("pull", short_help="Pull a model.")
@click.argument("name", metavar="MODEL")
@click.option("--insecure", is_flag=True, help="Allow a registry without TLS.")
@server_options
@shared_options
def pull(name: str, insecure: bool, config: Config, as_json: bool) -> int:
    """Pull MODEL onto the server. What an earlier pull has fetched is not fetched again.

    The embedded server has a catalogue of its own: see `models list`.
    """
    with can_go_on("what was fetched"), announce(config) as connection, TransferBars() as bars:
        connection.client.pull(name, insecure=insecure, on_progress=_print_event if as_json else bars)
    if not as_json:
        notice(f"{name} is ready")
    return 0


@models.command("push", short_help="Push a model to its registry.")
@click.argument("name", metavar="MODEL")
@click.option("--insecure", is_flag=True, help="Allow a registry without TLS.")
@server_options
@shared_options
def push(name: str, insecure: bool, config: Config, as_json: bool) -> int:
    """Push MODEL to the registry that its name stands for. Parts that are there already are not sent again."""
    with announce(config) as connection, TransferBars() as bars:
        connection.client.push(name, insecure=insecure, on_progress=_print_event if as_json else bars)
    if not as_json:
        notice(f"{name} is pushed")
    return 0


@models.command("create", short_help="Make a model from another one, or from files.")
@click.argument("name", metavar="MODEL")
@click.option("--from", "source", metavar="MODEL", help="Model to start from, in place of a Modelfile.")
@click.option("-f", "--file", "modelfile", type=click.Path(path_type=Path), help="Modelfile.  [default: ./Modelfile]")
@click.option("--system", metavar="TEXT", help="System prompt, over that of the Modelfile.")
@click.option("--quantize", metavar="LEVEL", help="Quantise to this level, such as q4_K_M.")
@server_options
@shared_options
def create(
    name: str,
    source: str | None,
    modelfile: Path | None,
    system: str | None,
    quantize: str | None,
    config: Config,
    as_json: bool,
) -> int:
    """Make MODEL from another model, or from what a Modelfile names; files are uploaded, relative to the Modelfile."""
    if source is not None and modelfile is not None:
        raise UsageError("--from and --file exclude each other", hint="write FROM into the Modelfile")
    path = modelfile or Path("Modelfile")
    parsed = Modelfile(sources=(source,)) if source else _read_modelfile(path)
    plan = plan_create(parsed, path.parent)
    if system is not None:
        plan.fields["system"] = system
    with announce(config) as connection, TransferBars() as bars:
        if not config.pull and plan.source:  # the server itself pulls what it lacks
            connection.client.show(plan.source)
        connection.client.create_planned(
            name,
            plan,
            quantize=quantize,
            on_bytes=None if as_json else lambda done, total: bars.bytes_done(done, total, step="uploading"),
            on_progress=_print_event if as_json else bars,
        )
    if not as_json:
        notice(f"{name} is made")
    return 0


@models.command("copy", short_help="Give a model a second name.")
@click.argument("source")
@click.argument("destination")
@server_options
@shared_options
def copy(source: str, destination: str, config: Config, as_json: bool) -> int:
    """Give the model SOURCE the further name DESTINATION."""
    with announce(config) as connection:
        connection.client.copy(source, destination)
    if as_json:
        print_json({"source": source, "destination": destination})
    return 0


@models.command("remove", short_help="Remove models.")
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_options
@shared_options
def remove(names: tuple[str, ...], yes: bool, config: Config, as_json: bool) -> int:
    """Remove models from the server, after asking."""
    confirm_removal(", ".join(names), yes=yes)
    with announce(config) as connection:
        for name in names:
            connection.client.delete(name)
    if as_json:
        print_json({"removed": list(names)})
    return 0


def _read_modelfile(path: Path) -> Modelfile:
    try:
        return parse_modelfile(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="give a Modelfile with --file, or a model with --from"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error


def _print_event(progress: Progress) -> None:
    print_json(record_json(progress, empty=False))


def _model_facts(info: Mapping[str, Any]) -> list[tuple[str, Any]]:
    wanted = {"context_length": "context", "embedding_length": "dimension"}
    return [
        (name, value) for key, value in info.items() for suffix, name in wanted.items() if key.endswith(f".{suffix}")
    ]


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().split("\n"))


def shown_size(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
