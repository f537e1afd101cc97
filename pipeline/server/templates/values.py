"""Values in a template: what its functions do with them, and how they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from pipeline.server.templates.lex import TemplateError

ROOT_FIELDS = ("System", "Prompt", "Response", "Suffix", "Messages", "Tools", "Think", "ThinkLevel", "IsThinkSet")
MESSAGE_FIELDS = ("Role", "Content", "Thinking", "Images", "ToolCalls", "ToolName", "ToolCallID")
CALL_FIELDS = ("ID", "Function", "Index", "Name", "Arguments")
TOOL_FIELDS = ("Type", "Description", "Parameters", "Properties", "Required", "Items", "Enum")
FIELDS = frozenset((*ROOT_FIELDS, *MESSAGE_FIELDS, *CALL_FIELDS, *TOOL_FIELDS))
_FORM = re.compile(r"%(%|[sdvq])")


def written(value: Any) -> str:
    """As Go prints it; what holds others is JSON, as Ollama's own types are."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else as_json(value)


def as_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _compare(compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def function(one: Any, *others: Any) -> bool:
        if not others:
            raise TemplateError("a comparison needs two values")
        return any(compare(one, other) for other in others)

    return function


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def function(one: Any, other: Any) -> bool:
        if type(one) is not type(other) or not isinstance(one, int | float | str):
            raise TemplateError("incompatible types for comparison")
        return compare(one, other)

    return function


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Sequence | Mapping):
        return len(value)
    raise TemplateError("len of what has no length")


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, str | Sequence) or len(bounds) > 2 or any(not isinstance(bound, int) for bound in bounds):
        raise TemplateError("a bad slice")
    content: Any = value.encode() if isinstance(value, str) else value
    start, end = (*bounds, *(0, len(content))[len(bounds) :])
    if not 0 <= start <= end <= len(content):
        raise TemplateError("slice out of range")
    return content[start:end].decode("utf-8", "replace") if isinstance(value, str) else content[start:end]


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        try:
            value = value.get(key) if isinstance(value, Mapping) else value[key]
        except (IndexError, TypeError) as error:
            raise TemplateError("index out of range") from error
    return value


def _print(*values: Any) -> str:
    parts: list[str] = []
    for number, value in enumerate(values):
        # Go puts a space between two values of which neither is a text.
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            parts.append(" ")
        parts.append(written(value))
    return "".join(parts)


def _printf(form: str, *values: Any) -> str:
    left = list(values)

    def one(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if not left:
            raise TemplateError("printf has too few values")
        value = written(left.pop(0))
        return json.dumps(value, ensure_ascii=False) if match[1] == "q" else value

    return _FORM.sub(one, form)


def _not(value: Any) -> bool:
    return not value


def _differ(one: Any, other: Any) -> bool:
    return one != other


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "not": _not,
    "eq": _compare(lambda one, other: one == other),
    "ne": _differ,
    "lt": _ordered(lambda one, other: one < other),
    "le": _ordered(lambda one, other: one <= other),
    "gt": _ordered(lambda one, other: one > other),
    "ge": _ordered(lambda one, other: one >= other),
    "len": _length,
    "slice": _slice,
    "index": _index,
    "print": _print,
    "println": lambda *values: " ".join(written(value) for value in values) + "\n",
    "printf": _printf,
    "json": as_json,
    "currentDate": lambda *_: date.today().isoformat(),
    "yesterdayDate": lambda *_: (date.today() - timedelta(days=1)).isoformat(),
}
"""`and` and `or` do not reach here with more than they need: they stop at the value that decides."""
