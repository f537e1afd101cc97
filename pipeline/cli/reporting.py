"""How the command line speaks: results on stdout, notices and progress on stderr, errors with a hint and a status.

In: a click command, or values to print. Out: exit statuses: 0 done, 1 done in part or failed, 2 usage, 130 Ctrl-C,
143 SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import PipelineError, UsageError
from pipeline.interrupts import Terminated

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

INTERRUPTED, TERMINATED = 130, 143
DEBUG = "PIPELINE_DEBUG"

_held: list[str] = []
"""Notices that are only of interest if the command fails."""


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Runs `command` and returns the exit status; a user's mistake never shows a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    _held.clear()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # The caller closed it: what is written goes nowhere.
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open until the program ends
    try:
        status = command.main(given, prog_name="pipeline", standalone_mode=False)
        sys.stdout.flush()
    except PipelineError as error:
        _say_held(as_json=as_json)
        report_error(error.type_name, error.message, error.hint, as_json=as_json)
        return error.exit_status
    except click.exceptions.NoArgsIsHelpError as error:
        report_error("UsageError", "a command is missing", _help_of(error), as_json=as_json)
        return 2
    except click.ClickException as error:
        report_error("UsageError", error.format_message(), _help_of(error), as_json=as_json)
        return 2
    except (KeyboardInterrupt, click.Abort) as error:
        # The command line library turns the first into the second.
        cause = error.__cause__ or error
        status = TERMINATED if isinstance(cause, Terminated) else INTERRUPTED
        how = "terminated" if status == TERMINATED else "interrupted"
        report_error("Interrupted", how, "".join(getattr(cause, "__notes__", ())), as_json=as_json)
        return status
    except BrokenPipeError:
        _abandon_stdout()
        return 0
    except SystemExit as error:
        # The command line library ends so when the reader (head, less) has gone.
        _abandon_stdout()
        return 0 if isinstance(error.__context__, BrokenPipeError) else 1
    except OSError as error:
        _abandon_stdout()
        report_error(type(error).__name__, f"cannot write the output: {error.strerror or error}", "", as_json=False)
        return 1
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        hint = f"this is a defect of pipeline: set {DEBUG}=1 to see where, and report it"
        report_error(type(error).__name__, f"unexpected: {error}", hint, as_json=as_json)
        return 1
    return status if isinstance(status, int) else 0


@contextlib.contextmanager
def can_go_on(kept: str = "what was committed") -> Generator[None]:
    """For work of which a part is of use: if it is interrupted, the hint says what is kept, and to run it again."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(f"{kept} is kept; run it again to go on")
        raise


def _abandon_stdout() -> None:
    """Keeps the interpreter from complaining at exit about what can no longer be written."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _help_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'pipeline'} --help"


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


def confirm_removal(what: str, *, yes: bool) -> None:
    """Asks on a terminal, unless told `yes`. Raises UsageError where nobody can be asked, Abort for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("removing needs a yes", hint="run the same command with --yes")
    click.confirm(f"remove {what}?", abort=True, err=True)


def notice(text: str) -> None:
    """One line on stderr that is no error."""
    click.secho(text, fg="yellow", err=True)


def notice_if_it_fails(text: str) -> None:
    """One line on stderr before the error, if the command ends with one."""
    _held.append(text)


def _say_held(*, as_json: bool) -> None:
    if not as_json:
        for text in _held:
            notice(text)


def shown_path(path: str) -> str:
    """`path` relative to the working folder where it lies below it, else as it is."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def place(path: str, start_line: int, end_line: int, page: int | None = None, end_page: int | None = None) -> str:
    """`notes/keys.md:12-18`, as editors and terminals make it clickable; the pages after it where there are any."""
    lines = f"{start_line}-{end_line}" if end_line > start_line else str(start_line)
    pages = f"pages {page}-{end_page}" if page and end_page and end_page > page else f"page {page}"
    return f"{shown_path(path)}:{lines}" + (f" ({pages})" if page else "")


def counted(counts: DataclassInstance) -> str:
    """Counts by name, as in `2 added, 1 failed`; those of zero are left out."""
    return ", ".join(f"{count} {word}" for word, count in asdict(counts).items() if count) or "none"
