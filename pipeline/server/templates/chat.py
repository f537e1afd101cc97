"""A conversation as a model reads it: a template in Go's language and messages come in, the prompt goes out.

How messages meet a template is Ollama's (`template/template.go`): one that ranges over `.Messages` gets them all, an
older one is written once for each turn, and its last turn ends where `.Response` would stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

from pipeline.server.templates.parse import Action, Branch, Field, Node, parse
from pipeline.server.templates.render import render

Message = Mapping[str, Any]

RESPONSE = "Response"


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """`uses` are the names of the fields that the template has."""

    nodes: tuple[Node, ...]
    uses: frozenset[str]

    def prompt(self, messages: Sequence[Message], *, think: bool = False) -> str:
        """The prompt for the model's next message. Raises TemplateError."""
        system, collated = _collate(messages)
        flags = {"Think": think, "ThinkLevel": "", "IsThinkSet": False}
        if "Messages" in self.uses:
            data = {"System": system, "Messages": collated, "Tools": None, RESPONSE: ""}
            return render(self.nodes, {**data, **flags})
        *turns, last = _turns(collated)
        shown, _ = _until_response(self.nodes)
        written = [render(self.nodes, {**turn, **flags}) for turn in turns]
        return "".join([*written, render(shown, {**last, **flags})])


@lru_cache(maxsize=32)
def parse_template(text: str) -> ChatTemplate:
    """Raises TemplateError for a template that cannot be rendered."""
    nodes = parse(text)
    uses = frozenset(name for field in _fields(nodes) for name in field.names)
    if not uses & {"Messages", RESPONSE}:
        nodes = (*nodes, Action(Field(None, (RESPONSE,))))
    return ChatTemplate(nodes, uses)


def _fields(part: Any) -> Iterator[Field]:
    if isinstance(part, Field):
        yield part
    if isinstance(part, tuple):
        for item in part:
            yield from _fields(item)
    elif is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            yield from _fields(getattr(part, field.name))


def _until_response(nodes: Sequence[Node]) -> tuple[tuple[Node, ...], bool]:
    """The nodes before `.Response`, wherever it stands, and whether it was there."""
    kept: list[Node] = []
    for node in nodes:
        if isinstance(node, Action) and any(RESPONSE in field.names for field in _fields(node.value)):
            return tuple(kept), True
        if isinstance(node, Branch):
            body, cut = _until_response(node.body)
            otherwise, cut = ((), True) if cut else _until_response(node.otherwise)
            kept.append(Branch(node.kind, node.value, body, otherwise, node.variables))
            if cut:
                return tuple(kept), True
        else:
            kept.append(node)
    return tuple(kept), False


def _collate(messages: Sequence[Message]) -> tuple[str, list[dict[str, Any]]]:
    """All system messages in one text, and the messages, those of one role after each other in one."""
    collated: list[dict[str, Any]] = []
    for message in messages:
        shown = _shown(message)
        if collated and collated[-1]["Role"] == shown["Role"] != "tool":
            collated[-1]["Content"] += "\n\n" + shown["Content"]
        else:
            collated.append(shown)
    system = [_shown(message)["Content"] for message in messages if message["role"] == "system"]
    return "\n\n".join(system), collated


def _shown(message: Message) -> dict[str, Any]:
    calls = [
        {"ID": call.get("id", ""), "Function": {"Index": number, "Name": call["function"]["name"], "Arguments": given}}
        for number, call in enumerate(message.get("tool_calls") or [])
        for given in [_arguments(call["function"]["arguments"])]
    ]
    return {
        "Role": message["role"],
        "Content": message.get("content") or "",
        "Thinking": message.get("reasoning_content") or "",
        "Images": [],
        "ToolCalls": calls,
        "ToolName": message.get("name") or "",
        "ToolCallID": message.get("tool_call_id") or "",
    }


def _arguments(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _turns(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What an older template gets for each turn."""
    turns: list[dict[str, Any]] = []
    turn = {"System": "", "Prompt": "", RESPONSE: ""}
    for message in messages:
        role = message["Role"]
        before = {"system": ("Prompt", RESPONSE), "user": (RESPONSE,)}.get(role, ())
        if any(turn[name] for name in before):
            turns.append(turn)
            turn = {"System": "", "Prompt": "", RESPONSE: ""}
        place = {"system": "System", "user": "Prompt", "assistant": RESPONSE}.get(role)
        if place is not None:
            turn[place] = message["Content"]
    return [*turns, turn]
