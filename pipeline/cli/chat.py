"""`pipeline chat`: a conversation with a chat model, plain or over a collection, on a terminal or from a pipe."""

from __future__ import annotations

from typing import Any

import click

from pipeline.answer import USUAL_PASSAGES, choose_chat_model
from pipeline.api import ChatReply, Client
from pipeline.api import as_json as record_json
from pipeline.cli.chat_loop import ChatLoop, conversation_file
from pipeline.cli.grounded_chat import chat_over_collection
from pipeline.cli.options import option_value, server_options, shared_options
from pipeline.cli.reporting import notice, print_json
from pipeline.cli.session import announce
from pipeline.config import Config
from pipeline.conversation import Conversation
from pipeline.errors import ApiError, UsageError
from pipeline.query import MODES, PLANS, Mode, PlanKind

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


@click.command(short_help="Talk with a chat model, or with a collection.")
@click.option("-c", "--collection", "name", metavar="NAME", help="Answer from this collection, with sources.")
@click.option("--chat-model", metavar="NAME", help="Chat model.  [default: qwen2.5-coder:1.5b, or one that is there]")
@click.option("--system", default="", metavar="TEXT", help="System prompt; not with -c.")
@click.option("--load", "loaded", metavar="NAME", help="Take up a conversation that was kept.")
@click.option("--where", metavar="EXPR", help="With -c: only documents that meet a condition; see docs/search.md.")
@click.option(
    "-k",
    "k",
    type=click.IntRange(min=1),
    help=f"With -c: passages to answer from.  [default: {USUAL_PASSAGES}]",
)
@click.option("--mode", type=click.Choice(MODES), help=f"With -c: how passages are found.  [default: {MODES[0]}]")
@click.option(
    "--plan", type=click.Choice(PLANS), help="With -c: search for more than the question; see docs/search.md."
)
@server_options
@shared_options
def chat(
    name: str | None,
    system: str,
    loaded: str | None,
    where: str | None,
    k: int | None,
    mode: Mode | None,
    plan: PlanKind | None,
    config: Config,
    as_json: bool,
) -> int:
    """Talk with a chat model, or with -c ask a collection question after question. /help lists the commands.

    With -c every answer has sources, and a question may point to those before it. From a pipe each line, or each block
    in triple quotes, is a message; with --json each answer is a JSON object on a line of its own.
    """
    path = conversation_file(config, loaded) if loaded is not None else None
    conversation = Conversation.load(path) if path is not None else None
    kept = conversation.grounding if conversation is not None else None
    name = name or (str(kept.get("collection")) if kept is not None else None)
    if name is not None:
        if system:
            raise UsageError("--system is not for a collection", hint="leave out --system, or -c")
        return chat_over_collection(
            name,
            config,
            conversation=conversation,
            file=path,
            where=where,
            k=k,
            mode=mode,
            plan=plan,
            as_json=as_json,
        )
    if any(given is not None for given in (where, k, mode, plan)):
        raise UsageError("--where, -k, --mode and --plan need a collection", hint="name it with -c")
    with announce(config) as connection:
        if conversation is not None:
            conversation.model = config.chat_model or conversation.model
        else:
            conversation = Conversation(model=choose_chat_model(connection.client, config.chat_model))
        conversation.system = system or conversation.system
        return _PlainChat(connection.client, conversation, config, as_json=as_json).run()


class _PlainChat(ChatLoop):
    help_text = HELP

    def __init__(self, client: Client, conversation: Conversation, config: Config, *, as_json: bool) -> None:
        super().__init__(config, as_json=as_json)
        self.client = client
        self.conversation = conversation
        self.commands |= {
            "set": self._set,
            "unset": self._unset,
            "show": self._show,
            "model": self._model,
            "retry": self._retry,
            "clear": self._clear,
            "save": self._save,
            "load": self._load,
        }

    def greeting(self) -> str:
        return f"{self.conversation.model}; /help lists the commands"

    def say(self, text: str) -> None:
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
        self.say(question)

    def _clear(self, _: str) -> None:
        self.conversation.messages.clear()

    def _save(self, name: str) -> None:
        path = conversation_file(self.config, name)
        self.conversation.save(path)
        notice(f"saved as {path}")

    def _load(self, name: str) -> None:
        conversation = Conversation.load(conversation_file(self.config, name))
        if conversation.grounding is not None:
            raise UsageError("that conversation is over a collection", hint=f"pipeline chat --load {name}")
        self.conversation = conversation
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
