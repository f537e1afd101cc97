"""A template's tree: its text comes in, nodes go out.

What is here: if, else, range, with, variables, pipelines, and the functions of `values.FUNCTIONS`. `define`, `template`
and `block` are not, nor are fields that Ollama's templates do not have: such a template is refused when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipeline.server.templates.lex import Piece, TemplateError, Word, pieces, unquoted, words
from pipeline.server.templates.values import FIELDS, FUNCTIONS

__all__ = ["Action", "Branch", "Call", "Field", "Leave", "Node", "TemplateError", "Text", "parse"]

CONSTANTS: dict[str, Any] = {"true": True, "false": False, "nil": None}
DEEPEST = 100
_HEADS = ("if", "range", "with")
_TAILS = ("else", "end")
_NOT_HERE = ("define", "template", "block")


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any


@dataclass(frozen=True, slots=True)
class Field:
    """`names` of `of`: an expression, or None for the dot."""

    of: Expression | None
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]


Expression = Constant | Field | Variable | Call


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """Writes the value, or, with a `variable`, keeps it there; `declares` makes a new one."""

    value: Expression
    variable: str = ""
    declares: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """`break` or `continue`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Branch:
    """`kind` is if, range or with; `variables` are those that get its key and value, or its value alone."""

    kind: str
    value: Expression
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    variables: tuple[str, ...] = ()


Node = Text | Action | Branch | Leave


def parse(template: str) -> tuple[Node, ...]:
    """Raises TemplateError."""
    parser = _Parser(pieces(template))
    nodes, tail = parser.nodes(depth=0)
    if tail:
        raise TemplateError(f"unexpected {{{{{tail}}}}}")
    return nodes


class _Parser:
    def __init__(self, found: list[Piece]) -> None:
        self._pieces = found
        self._position = 0

    def nodes(self, *, depth: int) -> tuple[tuple[Node, ...], str]:
        """The nodes up to an `else` or `end`, and that action; an empty one at the template's end."""
        if depth > DEEPEST:
            raise TemplateError("too many levels")
        found: list[Node] = []
        while self._position < len(self._pieces):
            piece = self._pieces[self._position]
            self._position += 1
            if piece.text:
                found.append(Text(piece.text))
            if piece.action is None:
                continue
            head = piece.action.split(None, 1)[0] if piece.action else ""
            if head in _TAILS:
                return tuple(found), piece.action
            if head in _NOT_HERE:
                raise TemplateError(f"{head!r} is not supported")
            if head in _HEADS:
                found.append(self._branch(head, piece.action.removeprefix(head), depth=depth))
            elif head in ("break", "continue"):
                found.append(Leave(head))
            else:
                found.append(_action(words(piece.action)))
        return tuple(found), ""

    def _branch(self, kind: str, condition: str, *, depth: int) -> Branch:
        action = _action(words(condition), many=kind == "range")
        body, tail = self.nodes(depth=depth + 1)
        otherwise: tuple[Node, ...] = ()
        if tail.startswith("else"):
            rest = tail.removeprefix("else").strip()
            if rest:
                head = rest.split(None, 1)[0]
                if head not in ("if", "with"):
                    raise TemplateError(f"unexpected {{{{{tail}}}}}")
                # `else if` takes the `end` of the whole.
                otherwise = (self._branch(head, rest.removeprefix(head), depth=depth + 1),)
                tail = "end"
            else:
                otherwise, tail = self.nodes(depth=depth + 1)
        if tail != "end":
            raise TemplateError(f"{kind} without end")
        variables = tuple(action.variable.split(",")) if action.variable else ()
        return Branch(kind, action.value, body, otherwise, variables)


def _action(found: list[Word], *, many: bool = False) -> Action:
    """A pipeline, with the variables that it is given to; `many` permits two of them."""
    marks = [number for number, word in enumerate(found) if word.kind == "mark" and word.text in (":=", "=")]
    if not marks:
        return Action(_pipeline(found))
    names = [word.text for word in found[: marks[0]] if word.text != ","]
    if len(marks) > 1 or not 1 <= len(names) <= 1 + many or any(not _is_plain_variable(name) for name in names):
        raise TemplateError("a bad assignment")
    return Action(_pipeline(found[marks[0] + 1 :]), ",".join(names), declares=found[marks[0]].text == ":=")


def _is_plain_variable(name: str) -> bool:
    return name.startswith("$") and len(name) > 1 and "." not in name


def _pipeline(found: list[Word]) -> Expression:
    value: Expression | None = None
    for command in _split(found):
        following = _command(command)
        if value is not None:
            if not isinstance(following, Call):
                raise TemplateError("a pipe leads into what is no function")
            following = replace(following, arguments=(*following.arguments, value))
        value = following
    assert value is not None
    return value


def _split(found: list[Word]) -> list[list[Word]]:
    """The commands of a pipeline: what stands between its pipes, outside of parentheses."""
    commands: list[list[Word]] = [[]]
    depth = 0
    for word in found:
        depth += (word.text == "(") - (word.text == ")") if word.kind == "mark" else 0
        if word == Word("mark", "|") and not depth:
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def _command(found: list[Word]) -> Expression:
    if not found:
        raise TemplateError("an empty action")
    operands, rest = _operands(found)
    if rest:
        raise TemplateError(f"unexpected {rest[0].text!r}")
    first = operands[0]
    if isinstance(first, Call) and found[0].kind == "name":
        return replace(first, arguments=tuple(operands[1:]))
    if len(operands) > 1:
        raise TemplateError(f"{found[0].text} is no function")
    return first


def _operands(found: list[Word]) -> tuple[list[Expression], list[Word]]:
    """The operands up to a closing parenthesis, and the words from there on."""
    operands: list[Expression] = []
    while found and found[0] != Word("mark", ")"):
        word, found = found[0], found[1:]
        if word == Word("mark", "("):
            inner, found = _closing(found)
            value = _pipeline(inner)
            if found and found[0].kind == "field" and found[0].text != ".":
                value, found = Field(value, _names(found[0].text)), found[1:]
            operands.append(value)
        else:
            operands.append(_operand(word))
    return operands, found


def _closing(found: list[Word]) -> tuple[list[Word], list[Word]]:
    depth = 1
    for number, word in enumerate(found):
        depth += (word.text == "(") - (word.text == ")") if word.kind == "mark" else 0
        if not depth:
            return found[:number], found[number + 1 :]
    raise TemplateError("unclosed parenthesis")


def _operand(word: Word) -> Expression:
    if word.kind == "string":
        return Constant(unquoted(word.text))
    if word.kind == "number":
        return Constant(int(word.text))
    if word.kind == "field":
        return Field(None, _names(word.text))
    if word.kind == "variable":
        name, _, rest = word.text.partition(".")
        return Field(Variable(name), _names(f".{rest}")) if rest else Variable(name)
    if word.text in CONSTANTS:
        return Constant(CONSTANTS[word.text])
    if word.kind == "name" and word.text in FUNCTIONS:
        return Call(word.text, ())
    raise TemplateError(f"{word.text!r} is not supported")


def _names(path: str) -> tuple[str, ...]:
    names = tuple(name for name in path.split(".") if name)
    for name in names:
        if name not in FIELDS:
            raise TemplateError(f"field .{name} is not supported")
    return names
