"""A template's tree and its data come in, the text that they make goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.server.templates.lex import TemplateError
from pipeline.server.templates.parse import Action, Branch, Call, Constant, Expression, Field, Leave, Node, Text
from pipeline.server.templates.values import FUNCTIONS, written

LONGEST = 2**26
"""Characters: a template that writes more is broken off."""


class _Left(Exception):
    def __init__(self, kind: str) -> None:
        self.kind = kind


def render(nodes: Sequence[Node], data: Mapping[str, Any]) -> str:
    """Raises TemplateError."""
    try:
        writer = _Writer(data)
        writer.write(nodes, data)
    except _Left as left:
        raise TemplateError(f"{left.kind} outside of range") from None
    except (TypeError, IndexError, RecursionError) as error:
        raise TemplateError(str(error)) from error
    return "".join(writer.parts)


class _Writer:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self.parts: list[str] = []
        self._size = 0
        self._scopes: list[dict[str, Any]] = [{"$": data}]

    def write(self, nodes: Sequence[Node], dot: Any) -> None:
        self._scopes.append({})
        try:
            for node in nodes:
                if isinstance(node, Text):
                    self._put(node.text)
                elif isinstance(node, Action):
                    self._act(node, dot)
                elif isinstance(node, Leave):
                    raise _Left(node.kind)
                else:
                    self._branch(node, dot)
        finally:
            self._scopes.pop()

    def _put(self, text: str) -> None:
        self._size += len(text)
        if self._size > LONGEST:
            raise TemplateError("the template writes too much")
        self.parts.append(text)

    def _act(self, action: Action, dot: Any) -> None:
        value = self._value(action.value, dot)
        if not action.variable:
            self._put(written(value))
        elif action.declares:
            self._scopes[-1][action.variable] = value
        else:
            self._scope_of(action.variable)[action.variable] = value

    def _branch(self, branch: Branch, dot: Any) -> None:
        value = self._value(branch.value, dot)
        if branch.kind == "range":
            self._range(branch, value, dot)
            return
        self._scopes.append(dict.fromkeys(branch.variables, value))
        if value:
            self.write(branch.body, value if branch.kind == "with" else dot)
        else:
            self.write(branch.otherwise, dot)
        self._scopes.pop()

    def _range(self, branch: Branch, value: Any, dot: Any) -> None:
        if isinstance(value, Mapping):
            items: list[tuple[Any, Any]] = sorted(value.items())
        elif isinstance(value, int):
            items = [(number, number) for number in range(value)]
        elif value is None or (isinstance(value, Sequence) and not isinstance(value, str)):
            items = list(enumerate(value or ()))
        else:
            raise TemplateError("range over what is no list")
        if not items:
            self.write(branch.otherwise, dot)
        depth = len(self._scopes)
        for item in items:
            named = item[2 - len(branch.variables) :]
            self._scopes.append(dict(zip(branch.variables, named, strict=True)))
            try:
                self.write(branch.body, item[1])
            except _Left as left:
                if left.kind == "break":
                    break
            finally:
                del self._scopes[depth:]

    def _value(self, expression: Expression, dot: Any) -> Any:
        if isinstance(expression, Constant):
            return expression.value
        if isinstance(expression, Field):
            value = dot if expression.of is None else self._value(expression.of, dot)
            for name in expression.names:
                value = value.get(name) if isinstance(value, Mapping) else None
            return value
        if isinstance(expression, Call):
            return self._call(expression, dot)
        return self._scope_of(expression.name)[expression.name]

    def _call(self, call: Call, dot: Any) -> Any:
        if call.function not in ("and", "or"):
            return FUNCTIONS[call.function](*(self._value(argument, dot) for argument in call.arguments))
        value: Any = None
        for argument in call.arguments:
            value = self._value(argument, dot)
            if bool(value) == (call.function == "or"):
                break
        return value

    def _scope_of(self, name: str) -> dict[str, Any]:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope
        raise TemplateError(f"undefined variable {name}")
