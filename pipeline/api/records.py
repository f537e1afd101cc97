"""Decoded JSON <-> frozen records, by the types that a record's fields declare.

In: a dataclass and a JSON value. Out: an instance of it. Fields that the dataclass does not know are kept in its
`extra`; nulls count as left out; anything of another type than declared is a BadReply.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from pipeline.errors import BadReply

Record = TypeVar("Record")
Convert = Callable[[Any, str], Any]

EXTRA = "extra"


def no_extra() -> Mapping[str, Any]:
    return {}


def record(kind: type[Record], content: object) -> Record:
    """Builds a `kind` from a decoded JSON object. Raises BadReply if it is none, or a field has the wrong type."""
    if not isinstance(content, dict):
        raise BadReply(f"expected a JSON object from the server, got {type(content).__name__}")
    given: dict[str, Any] = content
    converters = _converters(kind)
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in given.items():
        convert = converters.get(key)
        if convert is None:
            extra[key] = value
        elif value is not None:
            values[key] = convert(value, f"{kind.__name__}.{key}")
    return kind(**values, extra=extra)  # pyright: ignore[reportCallIssue] - every kind has `extra`


def as_json(value: Any, *, empty: bool = True) -> Any:
    """A record as JSON, its `extra` among the other fields; without `empty`, fields that are empty are left out."""
    if dataclasses.is_dataclass(value):
        pairs = {item.name: as_json(getattr(value, item.name), empty=empty) for item in dataclasses.fields(value)}
        extra = pairs.pop(EXTRA, {})
        kept = pairs if empty else {key: item for key, item in pairs.items() if item not in ("", None, [], {})}
        return {**kept, **extra}
    if isinstance(value, tuple):
        return [as_json(item, empty=empty) for item in typing.cast("tuple[Any, ...]", value)]
    return value


@cache
def _converters(kind: type[Any]) -> dict[str, Convert]:
    hints = typing.get_type_hints(kind)
    return {field.name: _converter(hints[field.name]) for field in dataclasses.fields(kind) if field.name != EXTRA}


def _converter(hint: Any) -> Convert:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(tuple(option for option in typing.get_args(hint) if option is not types.NoneType))
    if origin is tuple:
        return _each(_converter(typing.get_args(hint)[0]))
    if dataclasses.is_dataclass(hint):
        kind = typing.cast("type[Any]", hint)
        return lambda value, _: record(kind, value)
    if hint is Any:
        return lambda value, _: value
    return _plain(dict if origin is Mapping or hint is Mapping else _runtime(hint))


def _runtime(hint: Any) -> type | tuple[type, ...]:
    return (int, float) if hint is float else hint


def _plain(wanted: type | tuple[type, ...]) -> Convert:
    name = wanted.__name__ if isinstance(wanted, type) else "number"

    def convert(value: Any, where: str) -> Any:
        if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
            return value
        raise BadReply(f"{where}: expected {name}, got {str(value)[:80]!r}")

    return convert


def _each(convert: Convert) -> Convert:
    def convert_all(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise BadReply(f"{where}: expected a list, got {str(value)[:80]!r}")
        items: list[Any] = value
        return tuple(convert(item, where) for item in items)

    return convert_all


def _one_of(options: tuple[Any, ...]) -> Convert:
    converters = [_converter(option) for option in options]

    def convert(value: Any, where: str) -> Any:
        for attempt in converters[:-1]:
            try:
                return attempt(value, where)
            except BadReply:
                continue
        return converters[-1](value, where)

    return convert
