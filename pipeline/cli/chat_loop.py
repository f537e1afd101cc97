"""What every conversation on the command line has in common: reading messages, commands, errors, Ctrl-C, a history.

In: messages and commands, from a terminal or a pipe. Out: calls to what a kind of conversation does with them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline.cli.reporting import notice, report_error
from pipeline.config import Config
from pipeline.errors import PipelineError, UsageError

QUOTES = '"""'
LEAVING = ("/bye", "/exit")


class ChatLoop:
    """A kind of conversation adds its commands and says what a message does, and how it greets."""

    help_text = ""

    def __init__(self, config: Config, *, as_json: bool) -> None:
        self.config = config
        self.as_json = as_json
        self.interactive = sys.stdin.isatty() and not as_json
        self.commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: click.echo(self.help_text),
            "?": lambda _: click.echo(self.help_text),
        }

    def say(self, text: str) -> None:
        """Answers a message."""
        raise NotImplementedError

    def greeting(self) -> str:
        """One line for the terminal."""
        raise NotImplementedError

    def run(self) -> int:
        """Reads messages and commands until the end of the input. On a terminal errors are shown and it goes on."""
        if self.interactive:
            notice(self.greeting())
        with _line_editing(self.config, active=self.interactive):
            while (text := self._message()) is not None and text.strip() not in LEAVING:
                try:
                    self._turn(text)
                except KeyboardInterrupt:
                    if not self.interactive:
                        raise
                    click.secho(" (stopped)", fg="yellow", err=True)
                except PipelineError as error:
                    if not self.interactive:
                        raise
                    report_error(error.type_name, error.message, error.hint, as_json=False)
        return 0

    def _turn(self, text: str) -> None:
        word, _, rest = text.strip().partition(" ")
        if word.startswith("/"):
            self._command(word[1:], rest.strip())
        elif text.strip():
            self.say(text)

    def _message(self) -> str | None:
        """The next message, over several lines where it begins with triple quotes; None at the end."""
        line = self.line(">>> ")
        if line is None or not line.lstrip().startswith(QUOTES):
            return line
        lines = [line.lstrip().removeprefix(QUOTES)]
        while not lines[-1].rstrip().endswith(QUOTES):
            following = self.line("... ")
            if following is None:
                raise UsageError(f"the message's {QUOTES} are not closed", hint=f"end it with {QUOTES}")
            lines.append(following)
        lines[-1] = lines[-1].rstrip().removesuffix(QUOTES)
        return "\n".join(lines)

    def line(self, prompt: str) -> str | None:
        if not self.interactive:
            line = sys.stdin.readline()
            return line.removesuffix("\n") if line else None
        while True:
            try:
                return input(prompt)
            except EOFError:
                click.echo()
                return None
            except KeyboardInterrupt:
                click.echo("\n/bye or Ctrl-D leaves", err=True)

    def _command(self, name: str, rest: str) -> None:
        command = self.commands.get(name)
        if command is None:
            raise UsageError(f"there is no command /{name}", hint="/help lists them")
        command(rest)


def conversation_file(config: Config, name: str) -> Path:
    """A bare name is kept in the home; anything with a slash is a path."""
    if not name:
        raise UsageError("the conversation needs a name", hint="/save NAME")
    return Path(name).expanduser() if "/" in name else config.home / "conversations" / f"{name}.json"


@contextlib.contextmanager
def _line_editing(config: Config, *, active: bool) -> Any:
    """Arrow keys and a history that outlives the program, where the platform has readline."""
    if not active or importlib.util.find_spec("readline") is None:
        yield
        return
    import readline  # noqa: PLC0415 - only on a terminal, and not everywhere

    history = config.home / "chat_history"
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    try:
        yield
    finally:
        readline.set_history_length(1000)
        with contextlib.suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)
