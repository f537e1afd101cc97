"""How the command line speaks: results on stdout, notices and progress on stderr, errors with a hint and a status.

In: a click command, or values to print. Out: exit statuses: 0 done, 1 done in part or failed, 2 usage, 130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.errors import PipelineError

INTERRUPTED = 130


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Runs `command` and returns the exit status; a user's mistake never shows a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        status = command.main(given, prog_name="pipeline", standalone_mode=False)
        sys.stdout.flush()
    except PipelineError as error:
        report_error(error.type_name, error.message, error.hint, as_json=as_json)
        return error.exit_status
    except click.ClickException as error:
        hint = f"pipeline {' '.join(_command_words(given))} --help".replace("  ", " ")
        report_error("UsageError", error.format_message(), hint, as_json=as_json)
        return 2
    except (KeyboardInterrupt, click.Abort):
        report_error("Interrupted", "interrupted", "what was committed is kept; run it again to go on", as_json=as_json)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; closing stdout quietly keeps the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status if isinstance(status, int) else 0


def report_error(kind: str, message: str, hint: str, *, as_json: bool) -> None:
    """One error, as JSON on stdout or as two lines on stderr."""
    if as_json:
        print_json({"error": {"type": kind, "message": message, "hint": hint}})
        return
    click.secho(f"error: {message}", fg="red", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False))


def notice(text: str) -> None:
    """One line on stderr that is no error."""
    click.secho(text, fg="yellow", err=True)


def shown_path(path: str) -> str:
    """`path` relative to the working folder where it lies below it, else as it is."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def place(path: str, start_line: int, end_line: int, page: int | None = None) -> str:
    """`notes/keys.md:12-18`, as editors and terminals make it clickable."""
    lines = f"{start_line}-{end_line}" if end_line > start_line else str(start_line)
    return f"{shown_path(path)}:{lines}" + (f" (page {page})" if page else "")


def _command_words(arguments: Sequence[str]) -> list[str]:
    from pipeline.cli.main import COMMANDS  # noqa: PLC0415 - main imports this module when it runs

    return [word for word in arguments[:1] if word in COMMANDS]
