"""A Modelfile -> what `/api/create` takes today, which no longer reads Modelfiles itself. No I/O.

In: the text. Out: a `Modelfile`: the model or files to start from, adapters and the fields of the request. The grammar
is that of `parser/parser.go` in ollama/ollama: a command a line, values bare, in quotes, or in triple quotes over
several lines, comments from `#` at a line's start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from pipeline.api.fields import CreateFields
from pipeline.errors import UsageError

ROLES = ("system", "user", "assistant")
FIELDS = ("template", "system", "renderer", "parser")
COMMANDS = ("from", "license", *FIELDS, "adapter", "draft", "parameter", "message", "requires")
WHOLE_NUMBERS = frozenset(
    [
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "num_thread",
        "num_keep",
        "seed",
        "num_predict",
        "top_k",
        "repeat_last_n",
        "draft_num_predict",
    ]
)
NUMBERS = frozenset(
    ["top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty"]
)
FLAGS = frozenset(["use_mmap"])
LISTS = frozenset(["stop"])
DROPPED = frozenset(
    [
        "penalize_newline",
        "low_vram",
        "f16_kv",
        "logits_all",
        "vocab_only",
        "use_mlock",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
    ]
)
"""Parameters that the server has given up: accepted, not sent."""

COMMAND = re.compile(r"[ \t]*([A-Za-z]+)[ \t]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelfile:
    """`sources` are the values of FROM: names of models, or paths. `adapters` and `drafts` are paths."""

    sources: tuple[str, ...]
    adapters: tuple[str, ...] = ()
    drafts: tuple[str, ...] = ()
    fields: CreateFields = field(default_factory=CreateFields)


def parse_modelfile(text: str) -> Modelfile:
    """Raises UsageError with the line at fault."""
    lists: dict[str, list[str]] = {"from": [], "adapter": [], "draft": [], "license": []}
    messages: list[dict[str, str]] = []
    parameters: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for line, command, value in _commands(text.removeprefix("\ufeff")):
        if command in lists:
            lists[command].append(value)
        elif command == "message":
            messages.append(_message(value, line))
        elif command == "parameter":
            _add_parameter(parameters, value, line)
        else:
            fields[command] = value.removeprefix("v") if command == "requires" else value
    if not lists["from"]:
        raise UsageError("the Modelfile has no FROM line", hint="name a model or a file: FROM qwen2.5-coder:1.5b")
    several = {"license": lists["license"], "messages": messages, "parameters": parameters}
    fields.update({name: value for name, value in several.items() if value})
    return Modelfile(
        sources=tuple(lists["from"]),
        adapters=tuple(lists["adapter"]),
        drafts=tuple(lists["draft"]),
        fields=cast("CreateFields", fields),
    )


def _commands(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, command in lower case and value of each command."""
    position, line = 0, 1
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        row = text[position:end]
        if not row.strip() or row.lstrip().startswith("#"):
            position, line = end + 1, line + 1
            continue
        match = COMMAND.match(row)
        if match is None or match[1].lower() not in COMMANDS:
            raise UsageError(
                f"line {line} of the Modelfile: no command {row.split()[0]!r}",
                hint=f"commands: {', '.join(COMMANDS).upper()}",
            )
        start = position + match.end()
        prefix = ""
        if match[1].lower() in ("parameter", "message"):
            word = re.compile(r"\S+[ \t]*").match(text, start, end)
            prefix = word[0].strip() + " " if word else ""
            start = word.end() if word else start
        value, after = _value(text, start, end, line)
        yield line, match[1].lower(), prefix + value
        line += text.count("\n", position, after) + 1
        position = after + 1


def _value(text: str, start: int, end: int, line: int) -> tuple[str, int]:
    """The value that begins at `start` of a line that ends at `end`, and where the line in which it ends does.

    A value in quotes ends with the first line that ends in such quotes.
    """
    quote = next((mark for mark in ('"""', '"') if text.startswith(mark, start)), "")
    if not quote:
        return text[start:end].strip(), end
    while True:
        value = text[start:end].rstrip()
        if len(value) >= 2 * len(quote) and value.endswith(quote):
            return value[len(quote) : -len(quote)], end
        if end >= len(text):
            raise UsageError(f"line {line} of the Modelfile: {quote} is not closed", hint="close it")
        following = text.find("\n", end + 1)
        end = len(text) if following < 0 else following


def _message(value: str, line: int) -> dict[str, str]:
    role, _, content = value.partition(" ")
    if role not in ROLES:
        raise UsageError(f"line {line} of the Modelfile: no role {role!r}", hint=f"roles: {', '.join(ROLES)}")
    return {"role": role, "content": content}


def _add_parameter(parameters: dict[str, Any], value: str, line: int) -> None:
    name, _, text = value.partition(" ")
    name = name.lower()
    if name in DROPPED:
        return
    try:
        if name in LISTS:
            parameters.setdefault(name, []).append(text)
        elif name in WHOLE_NUMBERS:
            parameters[name] = int(text)
        elif name in NUMBERS:
            parameters[name] = float(text)
        elif name in FLAGS:
            parameters[name] = {"true": True, "false": False}[text.lower()]
        else:
            known = sorted(LISTS | WHOLE_NUMBERS | NUMBERS | FLAGS)
            raise UsageError(
                f"line {line} of the Modelfile: no parameter {name!r}", hint=f"parameters: {', '.join(known)}"
            )
    except (ValueError, KeyError) as error:
        raise UsageError(
            f"line {line} of the Modelfile: {text!r} is no value for {name}", hint="give a value of its type"
        ) from error
