"""An operation of the API as data: where it is, what it takes, what it gives, and the function that does it.

In: a request. Out: a `Call`, whose values are checked by the schemas that the OpenAPI document publishes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import parse_qsl

from pipeline.errors import UsageError
from pipeline.server.exchange import Reply, Request
from pipeline.web.schema import Schema, check, parsed

if TYPE_CHECKING:
    from pipeline.web.service import Service

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Of a path it is always required."""

    name: str
    schema: Schema
    place: Literal["path", "query"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to an operation: `values` are those of its path, its query and its body."""

    request: Request
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str) -> Any:
        return self.values.get(name)


Handler = Callable[["Service", Call], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`replies` has, for each status that is no error, the content type and the schema of what is sent.

    The last parameter of a `path` takes slashes too where it is `tail`. With `takes_file` the body is a file of any
    type. `public` ones need no token.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    handler: Handler
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    replies: Mapping[int, Mapping[str, Schema]] = field(default_factory=dict[int, dict[str, Schema]])
    errors: tuple[int, ...] = ()
    tail: bool = False
    takes_file: bool = False
    public: bool = False

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The path's parameters, if `parts`, decoded and without slashes, are this path."""
        wanted = self.path.strip("/").split("/")
        if self.tail and len(parts) > len(wanted):
            parts = [*parts[: len(wanted) - 1], "/".join(parts[len(wanted) - 1 :])]
        if len(parts) != len(wanted):
            return None
        found: dict[str, str] = {}
        for part, name in zip(parts, wanted, strict=True):
            if name.startswith("{"):
                found[name[1:-1]] = part
            elif name != part:
                return None
        return found

    def call(self, request: Request, path: Mapping[str, str]) -> Call:
        """Raises UsageError for what the operation does not take."""
        values: dict[str, Any] = {}
        query = self._query(request.query)
        for parameter in self.parameters:
            text = path.get(parameter.name) if parameter.place == "path" else query.pop(parameter.name, None)
            if text is not None:
                values[parameter.name] = parsed(text, parameter.schema, parameter.name)
            elif parameter.required:
                raise UsageError(f"{parameter.name} is missing in the query", hint="see /api/openapi.json")
            elif "default" in parameter.schema:
                values[parameter.name] = parameter.schema["default"]
        if query:
            known = ", ".join(each.name for each in self.parameters if each.place == "query") or "none"
            raise UsageError(f"there is no parameter {next(iter(query))!r}", hint=f"there are: {known}")
        if self.body is not None:
            values |= check(_json(request.body), self.body, "the body")
        return Call(request=request, values=values)

    def _query(self, text: str) -> dict[str, str]:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="replace", max_num_fields=100)
        query = dict(pairs)
        if len(query) < len(pairs):
            raise UsageError("a parameter is there twice", hint="give each once")
        return query


def _json(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is no JSON: {error}", hint="send an object, as application/json") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
