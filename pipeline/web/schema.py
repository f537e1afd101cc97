"""JSON Schema, as much of it as the API uses: a value and a schema come in, the checked value goes out.

Requests are checked by the very schemas that the OpenAPI document publishes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import UsageError

Schema = dict[str, Any]

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def string(description: str = "", **more: Any) -> Schema:
    return _schema("string", description, more)


def integer(description: str = "", **more: Any) -> Schema:
    return _schema("integer", description, more)


def number(description: str = "", **more: Any) -> Schema:
    return _schema("number", description, more)


def boolean(description: str = "", **more: Any) -> Schema:
    return _schema("boolean", description, more)


def array(items: Schema, description: str = "", **more: Any) -> Schema:
    return _schema("array", description, {"items": items, **more})


def mapping(values: Schema, description: str = "") -> Schema:
    """An object with any names."""
    return _schema("object", description, {"additionalProperties": values})


def record(properties: Mapping[str, Schema], *, optional: Sequence[str] = (), closed: bool = True) -> Schema:
    """An object with these properties; only `optional` ones may be missing. A `closed` one has no other."""
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": not closed}
    return {**schema, "required": required} if required else schema


def nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(kind: str, description: str, more: Mapping[str, Any]) -> Schema:
    return {"type": kind, **({"description": description} if description else {}), **more}


def check(value: Any, schema: Schema, where: str) -> Any:
    """`value` with defaults filled in. Raises UsageError that names the place, for what the schema does not allow."""
    allowed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in allowed):
        raise _refused(where, f"must be {' or '.join(allowed)}, not {_named(value)}")
    if "enum" in schema and value not in schema["enum"]:
        raise _refused(where, f"must be one of {', '.join(schema['enum'])}, not {_named(value)}")
    if isinstance(value, str):
        _check_text(value, schema, where)
    elif isinstance(value, dict):
        return _checked_object(value, schema, where)
    elif isinstance(value, list):
        items: list[Any] = value
        _check_range(len(items), schema, where, "minItems", "maxItems", " items")
        return [check(item, schema["items"], f"{where}[{at}]") for at, item in enumerate(items)]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_range(value, schema, where, "minimum", "maximum", "")
        return int(value) if "integer" in allowed else value
    return value


def parsed(text: str, schema: Schema, where: str) -> Any:
    """The value that a text in a path or query stands for, checked; lists have commas between their items."""
    kind = schema["type"]
    if kind == "string":
        return check(text, schema, where)
    if kind == "array":
        items = text.split(",") if text else []
        _check_range(len(items), schema, where, "minItems", "maxItems", " items")
        return [parsed(item, schema["items"], f"{where}[{at}]") for at, item in enumerate(items)]
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        value = text
    return check(value, schema, where)


def _checked_object(given: dict[str, Any], schema: Schema, where: str) -> dict[str, Any]:
    properties: dict[str, Schema] = schema.get("properties", {})
    others: bool | Schema = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in given:
            raise _refused(where, f"needs {name!r}")
    checked: dict[str, Any] = {name: item["default"] for name, item in properties.items() if "default" in item}
    for name, item in given.items():
        if name in properties:
            checked[name] = check(item, properties[name], f"{where}.{name}")
        elif others is False:
            raise _refused(where, f"has no {name!r}; there are: {', '.join(properties)}")
        else:
            checked[name] = check(item, others, f"{where}.{name}") if isinstance(others, dict) else item
    return checked


def _check_text(text: str, schema: Schema, where: str) -> None:
    _check_range(len(text), schema, where, "minLength", "maxLength", " characters")
    if "pattern" in schema and not re.search(schema["pattern"], text):
        raise _refused(where, f"{text!r} does not match {schema['pattern']}")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise _refused(where, "has half a character (a lone surrogate)")


def _check_range(size: float, schema: Schema, where: str, least: str, most: str, unit: str) -> None:
    if size < schema.get(least, size):
        raise _refused(where, f"must be at least {schema[least]}{unit}, not {size}")
    if size > schema.get(most, size):
        raise _refused(where, f"must be at most {schema[most]}{unit}, not {size}")


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS[kind])


def _named(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)[:80]


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _refused(where: str, problem: str) -> UsageError:
    return UsageError(f"{where} {problem}", hint="see /api/openapi.json")
