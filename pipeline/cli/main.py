"""The command line: `pipeline COMMAND`. Commands are imported when they are called, so that help stays fast."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from pipeline.cli.reporting import run
from pipeline.version import VERSION

COMMANDS = {
    "index": ("pipeline.cli.index", "index"),
    "chunks": ("pipeline.cli.chunks", "chunks"),
    "search": ("pipeline.cli.search", "search"),
    "ask": ("pipeline.cli.ask", "ask"),
    "summarise": ("pipeline.cli.summarise", "summarise"),
    "chat": ("pipeline.cli.chat", "chat"),
    "collections": ("pipeline.cli.collections", "collections"),
    "models": ("pipeline.cli.models", "models"),
    "generate": ("pipeline.cli.generate", "generate"),
    "embed": ("pipeline.cli.embed", "embed"),
    "serve": ("pipeline.cli.serve", "serve"),
    "web": ("pipeline.cli.web", "web"),
    "eval": ("pipeline.cli.evaluate", "evaluate"),
    "doctor": ("pipeline.cli.doctor", "doctor"),
}

SUMMARIES = {
    "index": "Bring a collection up to date with files and folders.",
    "chunks": "Show how files would be cut, before anything is embedded.",
    "search": "Find passages by meaning and by words.",
    "ask": "Answer a question from a collection, with citations.",
    "summarise": "Summarise documents of a collection.",
    "chat": "Talk with a chat model, or with a collection.",
    "collections": "Look after collections.",
    "models": "Look after the server's models.",
    "generate": "Complete a prompt.",
    "embed": "Embed texts.",
    "serve": "Run the embedded Ollama-compatible server.",
    "web": "Open the search page and its HTTP API.",
    "eval": "Measure retrieval or answers on golden questions or a BEIR folder.",
    "doctor": "Check what is set up and say what to do.",
}


class LazyGroup(click.Group):
    """Lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        return getattr(importlib.import_module(module), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As ever, but names that are nearly right are told the right one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # noqa: PLC0415 - only for an error

            if not (near := get_close_matches(args[0], COMMANDS, n=1)):
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="pipeline")
def command_line() -> None:
    """Index document collections, search them by meaning and answer questions with citations, over the Ollama API.

    With OLLAMA_HOST set, that server is used; else an Ollama on the default address if one answers; else the
    server inside this program.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """The `pipeline` program: runs the command line and exits with its status."""
    sys.exit(run(command_line, arguments))
