"""JSON bodies -> checked values: bytes come in, a dict of the known fields that were given goes out.

The texts of the errors are those of the real server's JSON decoder, because clients show them to people.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pipeline.server.durations import LONGEST, InvalidDuration, parse_duration
from pipeline.server.exchange import Refusal

MISSING_BODY = "missing request body"
_THINK_LEVELS = ("high", "medium", "low", "max")
_SURELY_FINITE = 308
"""Digits of which every whole number is a finite float64."""

Check = Callable[[Any, str], Any]
"""Takes a value and the field's full name (`EmbedRequest.truncate`), returns it in our form."""


def decode(body: bytes, type_name: str, fields: Mapping[str, Check]) -> dict[str, Any]:
    """The fields of the JSON object in `body`; unknown fields and nulls are left out."""
    value = _first_value(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal(400, f"json: cannot unmarshal {_kind(value)} into Go value of type api.{type_name}")
    given: dict[str, Any] = value
    return {
        name: check(given[name], f"{type_name}.{name}") for name, check in fields.items() if given.get(name) is not None
    }


def string(value: Any, where: str) -> str:
    return value if isinstance(value, str) else _mismatch(value, where, "string")


def boolean(value: Any, where: str) -> bool:
    return value if isinstance(value, bool) else _mismatch(value, where, "bool")


def integer(value: Any, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return _mismatch(value, where, "int", number=repr(value))


def mapping(value: Any, where: str) -> dict[str, Any]:
    return anything(value, where) if isinstance(value, dict) else _mismatch(value, where, "map[string]interface {}")


def anything(value: Any, where: str) -> Any:
    """Any JSON value whose numbers all fit a float64, which is what the real server makes of them."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _OutOfRange):
            _mismatch(item, where, "float64", number=repr(item))
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
    return value


def integers(value: Any, where: str) -> list[int]:
    if not isinstance(value, list):
        _mismatch(value, where, "[]int")
    items: list[Any] = value
    return [integer(item, where) for item in items]


def strings(value: Any, where: str) -> list[str]:
    if not isinstance(value, list):
        _mismatch(value, where, "[]string")
    items: list[Any] = value
    return [string(item, where) for item in items]


def keep_alive(value: Any, where: str) -> float:
    """Seconds, at most LONGEST; a negative number or duration means for ever."""
    anything(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refusal(400, f"Unsupported type: '{_go_type(value)}'")
    if isinstance(value, str):
        try:
            value = parse_duration(value)
        except InvalidDuration as error:
            raise Refusal(400, str(error)) from error
    return math.inf if value < 0 else float(min(value, LONGEST))


def think(value: Any, where: str) -> bool | str:
    del where
    if isinstance(value, bool):
        return value
    choice = '"high", "medium", "low", "max", true, or false'
    if not isinstance(value, str):
        raise Refusal(400, f"think must be a boolean or string ({choice})")
    if value not in _THINK_LEVELS:
        raise Refusal(400, f'invalid think value: "{value}" (must be {choice})')
    return value


def messages(value: Any, where: str) -> list[dict[str, Any]]:
    """Chat messages with `role` (lower case) and `content` always there."""
    if not isinstance(value, list):
        _mismatch(value, where, "[]api.Message")
    items: list[Any] = value
    return [_message(item, where) for item in items]


def tools(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        _mismatch(value, where, "api.Tools")
    items: list[Any] = value
    return [mapping(item, where) for item in items]


_MESSAGE: dict[str, Check] = {
    "role": string,
    "content": string,
    "thinking": string,
    "images": strings,
    "tool_calls": tools,
    "tool_name": string,
    "tool_call_id": string,
}


def _message(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        _mismatch(item, where, "api.Alias")
    given: dict[str, Any] = item
    message = {
        name: check(given[name], f"{where}.{name}") for name, check in _MESSAGE.items() if given.get(name) is not None
    }
    return {**message, "role": message.get("role", "").lower(), "content": message.get("content", "")}


def _first_value(body: bytes) -> Any:
    """The first JSON value; what follows it is ignored, as the real server does."""
    text = body.decode("utf-8-sig", "replace").lstrip(" \t\r\n")
    if not text:
        raise Refusal(400, MISSING_BODY)
    try:
        value, _ = _DECODER.raw_decode(text)
        return _without_surrogates(value) if "\\ud" in text.lower() else value
    except json.JSONDecodeError as error:
        raise Refusal(400, _syntax_text(text, error)) from error
    except RecursionError as error:
        raise Refusal(400, "exceeded max depth") from error


class _OutOfRange:
    """A number that no float64 can hold: an error where it is used, and not in a field that nobody reads."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _number(text: str) -> float | _OutOfRange:
    value = float(text)
    return _OutOfRange(text) if math.isinf(value) else value


def _integer(text: str) -> int | _OutOfRange:
    # Python reads no more than 4,300 digits of a whole number, whatever they are for.
    if len(text) > _SURELY_FINITE and math.isinf(float(text)):
        return _OutOfRange(text)
    return int(text)


def _constant(text: str) -> NoReturn:
    raise Refusal(400, f"invalid character '{text.lstrip('-')[0]}' looking for beginning of value")


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_constant)


def _syntax_text(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    found = text[error.pos]
    quoted = {"'": r"'\''", "\n": r"'\n'", "\t": r"'\t'"}.get(found, f"'{found}'")
    place = {
        "Expecting ',' delimiter": "after object key:value pair",
        "Expecting ':' delimiter": "after object key",
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Invalid control character at": "in string literal",
    }.get(error.msg, "looking for beginning of value")
    return f"invalid character {quoted} {place}"


def _without_surrogates(value: Any) -> Any:
    """Half a surrogate pair cannot be sent on as UTF-8: it becomes U+FFFD, as in the real server."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        items: list[Any] = value
        return [_without_surrogates(item) for item in items]
    if isinstance(value, dict):
        pairs: dict[str, Any] = value
        return {_without_surrogates(key): _without_surrogates(item) for key, item in pairs.items()}
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float | _OutOfRange):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _go_type(value: Any) -> str:
    kinds = {"array": "[]interface {}", "object": "map[string]interface {}", "number": "float64"}
    return kinds.get(_kind(value), _kind(value))


def _mismatch(value: Any, where: str, wanted: str, *, number: str = "") -> NoReturn:
    kind = _kind(value)
    if kind == "number" and number:
        kind = f"number {number}"
    raise Refusal(400, f"json: cannot unmarshal {kind} into Go struct field {where} of type {wanted}")
