"""`pipeline chat -c NAME`: a conversation over a collection."""

from __future__ import annotations

import datetime
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from pipeline.answer.rewrite import Standalone
from pipeline.cli.chat_loop import ChatLoop, conversation_file
from pipeline.cli.reporting import notice, place, print_json
from pipeline.cli.search import print_hit
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.conversation import Conversation
from pipeline.dialogue import Dialogue, Turn
from pipeline.errors import UsageError
from pipeline.query import Mode, PlanKind

HELP = '''\
/sources               the passages behind the last answer, whole
/where EXPR            only documents that meet a condition; without EXPR, all of them again
/model NAME            go on with another chat model
/retry                 ask the last question again
/edit [TEXT]           ask it again, changed
/show                  collection, model, settings and number of turns
/clear                 forget what was said
/save NAME, /load NAME keep the conversation under a name, take one up again
/bye                   leave; Ctrl-D does too
"""                    begins and ends a question of several lines
Ctrl-C                 stops an answer; what was said is kept'''


def chat_over_collection(
    name: str,
    config: Config,
    *,
    conversation: Conversation | None,
    file: Path | None,
    where: str | None,
    k: int | None,
    mode: Mode | None,
    plan: PlanKind | None,
    as_json: bool,
) -> int:
    """Talks until the end of the input; goes on with `conversation` from `file`, if one was loaded."""
    with open_for_command(name, config) as collection:
        model = config.chat_model or (conversation.model if conversation else None)
        dialogue = Dialogue(collection, model=model)
        if conversation is not None:
            dialogue.take_up(conversation)
        dialogue.k = k or dialogue.k
        dialogue.mode = mode or dialogue.mode
        dialogue.plan = plan or dialogue.plan
        if where is not None:
            dialogue.use_where(where)
        dialogue.file = file
        return _GroundedChat(dialogue, config, as_json=as_json).run()


class _GroundedChat(ChatLoop):
    help_text = HELP

    def __init__(self, dialogue: Dialogue, config: Config, *, as_json: bool) -> None:
        super().__init__(config, as_json=as_json)
        self.dialogue = dialogue
        if self.interactive and dialogue.file is None:
            now = datetime.datetime.now().astimezone()
            dialogue.file = conversation_file(config, f"{dialogue.collection.name}-{now:%Y-%m-%d-%H%M%S}")
        self.commands |= {
            "sources": self._sources,
            "where": self._where,
            "model": self._model,
            "retry": self._retry,
            "edit": self._edit,
            "show": self._show,
            "clear": self._clear,
            "save": self._save,
            "load": self._load,
        }

    def greeting(self) -> str:
        talk = self.dialogue
        turns = f", {len(talk.turns)} turns so far" if talk.turns else ""
        return f"{talk.model} over {talk.collection.name}{turns}; /help lists the commands"

    def run(self) -> int:
        status = super().run()
        if self.interactive and self.dialogue.turns and self.dialogue.file is not None:
            notice(f"kept: pipeline chat --load {_named(self.dialogue.file, self.config)}")
        return status

    def say(self, text: str) -> None:
        self._answer(partial(self.dialogue.ask, text))

    def _answer(self, ask: Callable[..., Turn]) -> None:
        """Shows an answer as it comes, then its sources; however it ends, the conversation is kept."""
        started = time.perf_counter()
        streamed: list[str] = []

        def show(piece: str) -> None:
            streamed.append(piece)
            click.echo(piece, nl=False)

        live = sys.stdout.isatty() and not self.as_json
        before = self.dialogue.turns
        try:
            ask(on_standalone=self._show_standalone, on_text=show if live else None)
        finally:
            if streamed:
                click.echo()
            if self.dialogue.turns is not before:
                seconds = round(time.perf_counter() - started, 3)
                self._show_turn(self.dialogue.turns[-1], shown="".join(streamed), seconds=seconds)
            self.dialogue.keep()

    def _show_standalone(self, standalone: Standalone) -> None:
        if not self.as_json:
            click.secho(f"→ {standalone.question}", dim=True, err=True)

    def _show_turn(self, turn: Turn, *, shown: str, seconds: float) -> None:
        if self.as_json:
            print_json(_turn_json(turn, seconds))
            return
        answer = turn.answer
        if shown.strip() != answer.text:
            click.echo(answer.text)
        for citation in answer.citations:
            where = click.style(place(citation.path, citation.start_line, citation.end_line), fg="cyan")
            click.echo(f"[{citation.number}] {where}  {' '.join(citation.quote.split())}")
        if not answer.answered and answer.hits:
            nearest = dict.fromkeys(place(hit.path, hit.start_line, hit.end_line, hit.page) for hit in answer.hits)
            click.secho(f"nearest: {', '.join(nearest)}", dim=True)
        for text in answer.notices:
            notice(text)

    def _sources(self, _: str) -> None:
        if not self.dialogue.turns:
            raise UsageError("there is no answer yet", hint="ask something first")
        turn = self.dialogue.turns[-1]
        if self.as_json:
            print_json({"question": turn.question, "hits": [asdict(hit) for hit in turn.answer.hits]})
            return
        for hit in turn.answer.hits:
            print_hit(hit, full=True, query=turn.standalone)
        if not turn.answer.hits:
            click.echo("the last answer has no passages")

    def _where(self, expression: str) -> None:
        self.dialogue.use_where(expression or None)
        notice(f"only documents where {expression}" if expression else "all documents")

    def _model(self, name: str) -> None:
        if not name:
            raise UsageError("/model needs a name", hint="pipeline models list")
        self.dialogue.use_model(name)

    def _retry(self, _: str) -> None:
        self._answer(self.dialogue.ask_again)

    def _edit(self, text: str) -> None:
        last = self.dialogue.last_question
        if last is None:
            raise UsageError("nothing was asked yet", hint="ask something first")
        changed = text or (self._edited(last) if self.interactive else None)
        if not changed or not changed.strip():
            raise UsageError("/edit needs the changed question", hint="/edit TEXT")
        self._answer(partial(self.dialogue.ask_again, changed))

    def _edited(self, question: str) -> str | None:
        """The question as the user leaves it, where the platform has an editable line."""
        if importlib.util.find_spec("readline") is None:
            return None
        import readline  # noqa: PLC0415 - only on a terminal, and not everywhere

        readline.set_startup_hook(lambda: readline.insert_text(" ".join(question.split())))
        try:
            return self.line("edit> ")
        finally:
            readline.set_startup_hook(None)

    def _show(self, _: str) -> None:
        talk = self.dialogue
        facts: dict[str, Any] = {"collection": talk.collection.name, "model": talk.model, "turns": len(talk.turns)}
        facts |= {"k": talk.k, "mode": talk.mode}
        if talk.where is not None:
            facts["where"] = talk.where
        if talk.plan is not None:
            facts["plan"] = talk.plan
        if self.as_json:
            print_json(facts)
            return
        for name, value in facts.items():
            click.echo(f"{name:<16} {value}")

    def _clear(self, _: str) -> None:
        self.dialogue.forget()

    def _save(self, name: str) -> None:
        path = conversation_file(self.config, name)
        self.dialogue.save(path)
        notice(f"saved as {path}; further turns are kept there")

    def _load(self, name: str) -> None:
        path = conversation_file(self.config, name)
        conversation = Conversation.load(path)
        kept = (conversation.grounding or {}).get("collection", self.dialogue.collection.name)
        if kept != self.dialogue.collection.name:
            raise UsageError(f"that conversation is over collection {kept!r}", hint=f"pipeline chat --load {name}")
        self.dialogue.take_up(conversation)
        self.dialogue.file = path
        notice(f"{len(self.dialogue.turns)} turns")


def _turn_json(turn: Turn, seconds: float) -> dict[str, Any]:
    """As `ask --json`, with the question as it was searched for."""
    answer = asdict(turn.answer)
    text = answer.pop("text")
    asked = {"question": turn.question, "standalone": turn.standalone, "answer": text, "stopped": turn.stopped}
    return {**answer, **asked, "seconds": seconds}


def _named(file: Path, config: Config) -> str:
    """The name that --load takes for a file."""
    return file.stem if conversation_file(config, file.stem) == file else str(file)
