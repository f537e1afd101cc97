"""`pipeline chat`: a conversation with a chat model, on a terminal or from a pipe."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline.answer import choose_chat_model
from pipeline.api import ChatReply, Client
from pipeline.api import as_json as record_json
from pipeline.cli.options import option_value, server_options, shared_options
from pipeline.cli.reporting import notice, print_json, report_error
from pipeline.cli.session import announce
from pipeline.config import Config
from pipeline.conversation import Conversation
from pipeline.errors import ApiError, PipelineError, UsageError

QUOTES = '"""'
LEAVING = ("/bye", "/exit")
HELP = '''\
/set system TEXT       the system prompt; without TEXT, none
/set NAME VALUE        an option of the model, such as temperature 0.2 or num_ctx 8192
/set think on|off      reasoning, where the model has it
/unset NAME            back to the model's own setting
/show                  model, settings and number of turns
/model NAME            go on with another model
/retry                 ask the last question again
/clear                 forget what was said
/save NAME, /load NAME keep the conversation, take one up again
/bye                   leave; Ctrl-D does too
"""                    begins and ends a message of several lines
Ctrl-C                 stops an answer; what was said is kept'''


@click.command(short_help="Talk with a chat model.")
@click.option("--chat-model", metavar="NAME", help="Chat model.  [default: qwen2.5-coder:1.5b, or one that is there]")
@click.option("--system", default="", metavar="TEXT", help="System prompt.")
@click.option("--load", "loaded", metavar="NAME", help="Take up a conversation that /save kept.")
@server_options
@shared_options
def chat(system: str, loaded: str | None, config: Config, as_json: bool) -> int:
    """Talk with a chat model. /help lists the commands.

    From a pipe each line, or each block in triple quotes, is a message; with --json each answer is a JSON object on a
    line of its own.
    """
    with announce(config) as connection:
        if loaded is not None:
            conversation = Conversation.load(_file(config, loaded))
            conversation.model = config.chat_model or conversation.model
        else:
            conversation = Conversation(model=choose_chat_model(connection.client, config.chat_model))
        conversation.system = system or conversation.system
        return _Loop(connection.client, conversation, config, as_json=as_json).run()


class _Loop:
    def __init__(self, client: Client, conversation: Conversation, config: Config, *, as_json: bool) -> None:
        self.client = client
        self.conversation = conversation
        self.config = config
        self.as_json = as_json
        self.interactive = sys.stdin.isatty() and not as_json
        self.commands: dict[str, Callable[[str], None]] = {
            "set": self._set,
            "unset": self._unset,
            "show": self._show,
            "model": self._model,
            "retry": self._retry,
            "clear": self._clear,
            "save": self._save,
            "load": self._load,
            "help": lambda _: click.echo(HELP),
            "?": lambda _: click.echo(HELP),
        }

    def run(self) -> int:
        """Reads messages and commands until the end of the input. On a terminal errors are shown and it goes on."""
        if self.interactive:
            notice(f"{self.conversation.model}; /help lists the commands")
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
            self._say(text)

    def _message(self) -> str | None:
        """The next message, over several lines where it begins with triple quotes; None at the end."""
        line = self._line(">>> ")
        if line is None or not line.lstrip().startswith(QUOTES):
            return line
        lines = [line.lstrip().removeprefix(QUOTES)]
        while not lines[-1].rstrip().endswith(QUOTES):
            following = self._line("... ")
            if following is None:
                raise UsageError(f"the message's {QUOTES} are not closed", hint=f"end it with {QUOTES}")
            lines.append(following)
        lines[-1] = lines[-1].rstrip().removesuffix(QUOTES)
        return "\n".join(lines)

    def _line(self, prompt: str) -> str | None:
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

    def _say(self, text: str) -> None:
        stream = self.conversation.say(self.client, text)
        last: ChatReply | None = None
        pieces: list[str] = []
        try:
            for last in stream:
                pieces.append(last.message.content)
                if not self.as_json:
                    click.echo(last.message.content, nl=False)
        except ApiError:
            if pieces and not self.as_json:
                click.echo()
            raise
        finally:
            stream.close()
        if not self.as_json:
            click.echo()
        elif last is not None:
            print_json(_answer_json("".join(pieces), last))

    def _command(self, name: str, rest: str) -> None:
        command = self.commands.get(name)
        if command is None:
            raise UsageError(f"there is no command /{name}", hint="/help lists them")
        command(rest)

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        value = value.strip()
        if name == "system":
            self.conversation.system = value.strip('"')
        elif name == "think":
            self.conversation.think = _switch(value)
        elif name and value:
            self.conversation.options[name] = _option(name, value)
        else:
            raise UsageError("/set needs a name and a value", hint="/set temperature 0.2")

    def _unset(self, name: str) -> None:
        if name == "system":
            self.conversation.system = ""
        elif name == "think":
            self.conversation.think = None
        elif self.conversation.options.pop(name, None) is None:
            raise UsageError(f"{name or 'nothing'} is not set", hint="/show lists what is")

    def _show(self, _: str) -> None:
        talk = self.conversation
        facts: dict[str, Any] = {"model": talk.model, "turns": len(talk.messages) // 2, **talk.options}
        if talk.system:
            facts["system"] = talk.system
        if talk.think is not None:
            facts["think"] = talk.think
        if self.as_json:
            print_json(facts)
            return
        for name, value in facts.items():
            click.echo(f"{name:<16} {value}")

    def _model(self, name: str) -> None:
        if not name:
            raise UsageError("/model needs a name", hint="pipeline models list")
        self.client.show(name)
        self.conversation.model = name

    def _retry(self, _: str) -> None:
        question = self.conversation.forget_last()
        if question is None:
            raise UsageError("nothing was asked yet", hint="ask something first")
        self._say(question)

    def _clear(self, _: str) -> None:
        self.conversation.messages.clear()

    def _save(self, name: str) -> None:
        path = _file(self.config, name)
        self.conversation.save(path)
        notice(f"saved as {path}")

    def _load(self, name: str) -> None:
        self.conversation = Conversation.load(_file(self.config, name))
        notice(f"{self.conversation.model}, {len(self.conversation.messages) // 2} turns")


def _answer_json(text: str, last: ChatReply) -> dict[str, Any]:
    return {
        "model": last.model,
        "content": text,
        "tool_calls": record_json(last.message.tool_calls),
        "done_reason": last.done_reason,
        "prompt_tokens": last.prompt_eval_count or 0,
        "answer_tokens": last.eval_count or 0,
    }


def _file(config: Config, name: str) -> Path:
    """A bare name is kept in the home; anything with a slash is a path."""
    if not name:
        raise UsageError("the conversation needs a name", hint="/save NAME")
    return Path(name).expanduser() if "/" in name else config.home / "conversations" / f"{name}.json"


def _switch(value: str) -> bool:
    try:
        return {"on": True, "true": True, "off": False, "false": False}[value.lower()]
    except KeyError:
        raise UsageError(f"{value!r} is neither on nor off", hint="/set think on") from None


def _option(name: str, value: str) -> Any:
    """`stop` is a list of one; the others as they are typed."""
    if name == "stop":
        return [value.strip('"')]
    return option_value(value)


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
