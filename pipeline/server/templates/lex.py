"""Go's template language in pieces: a template's text comes in, texts and actions, and an action's words, go out.

The language is that of Go's text/template (https://pkg.go.dev/text/template).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

SPACE = " \t\r\n"
_ACTION = re.compile(r"\{\{(-(?=[ \t\r\n]))?((?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|(?!\}\}).)*?)((?<=[ \t\r\n])-)?\}\}", re.S)
_COMMENT = re.compile(r"\s*/\*.*\*/\s*", re.S)
_WORD = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)
    |(?P<number>-?\d+)
    |(?P<field>(?:\.[A-Za-z_]\w*)+|\.)
    |(?P<variable>\$\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<mark>:=|[=|(),]))""",
    re.X,
)


class TemplateError(ValueError):
    """A template that cannot be read, or is in a part of the language that is not here."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`action` is the inside of `{{ }}`; `text` is what stands before it, already trimmed."""

    text: str
    action: str | None


@dataclass(frozen=True, slots=True)
class Word:
    """`kind` is one of string, number, field, variable, name, mark."""

    kind: str
    text: str


def pieces(template: str) -> list[Piece]:
    """Raises TemplateError for an action that does not end."""
    found: list[Piece] = []
    position, trim = 0, False
    for match in _ACTION.finditer(template):
        text = template[position : match.start()]
        text = text.lstrip(SPACE) if trim else text
        text = text.rstrip(SPACE) if match[1] else text
        action = None if _COMMENT.fullmatch(match[2]) else match[2].strip(SPACE)
        found.append(Piece(text, action))
        position, trim = match.end(), bool(match[3])
    rest = template[position:]
    if "{{" in rest:
        raise TemplateError("unclosed action")
    found.append(Piece(rest.lstrip(SPACE) if trim else rest, None))
    return found


def words(action: str) -> list[Word]:
    """Raises TemplateError for what is no word of the language."""
    found: list[Word] = []
    position = 0
    while position < len(action):
        match = _WORD.match(action, position)
        if match is None:
            if action[position:].isspace():
                break
            raise TemplateError(f"unexpected {action[position:].strip()[:20]!r} in an action")
        assert match.lastgroup is not None
        found.append(Word(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


def unquoted(text: str) -> str:
    """The value of a string constant."""
    if text.startswith("`"):
        return text[1:-1]
    try:
        return json.loads(text.replace("\\a", "\\u0007").replace("\\v", "\\u000b"), strict=False)
    except ValueError as error:
        raise TemplateError(f"bad string {text}") from error
