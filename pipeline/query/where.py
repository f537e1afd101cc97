"""The language of `--where`: conditions on documents, parsed. Pure; docs/search.md has its grammar.

In: an expression as a user types it. Out: a tree of conditions, or a UsageError that points at the place.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn

from pipeline.errors import UsageError

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~", "!~"]

FIELDS = ("path", "name", "title", "format", "type", "language", "size", "date", "modified")
"""What every document has; any other name is a key of its metadata. `type` is another word for `format`."""

DEEPEST = 50
"""Parentheses and `not` within each other; people write two or three."""

HINT = "like: path ~ 'docs/**' and (language = en or date >= 2024-06); see docs/search.md"

TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator><=|>=|!=|==|!~|=~|=|<|>|~)
      | (?P<sign>[(),])
      | (?P<word>[^\s()<>=!~,"']+(?:[^\s()<>=!~,"'])*)
      | (?P<bad>\S)
    )""",
    re.VERBOSE,
)
SIZES = {"": 1, "b": 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2, "g": 1024**3, "gb": 1024**3}
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-z]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time in nanoseconds since 1970, UTC: from `start` up to and without `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`field operator value`. `at` is where the field stands in the expression, `value_at` where the value does."""

    field: str
    operator: Operator
    value: str
    at: int
    value_at: int = 0
    number: float | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists:
    """Whether a document has the field."""

    field: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    part: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    parts: tuple[Condition, ...]


Condition = Comparison | Exists | Not | Every | Some


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def parse_where(expression: str) -> Condition:
    """The condition that `expression` states. Raises UsageError with the expression and a mark below the place."""
    parser = _Parser(expression)
    condition = parser.disjunction(0)
    if parser.token.kind != "end":
        parser.fail("'and' or 'or' is missing here" if parser.token.text != ")" else "this ')' closes nothing")
    return condition


def point_at(expression: str, at: int, problem: str, hint: str = HINT) -> UsageError:
    """The error for a `problem` at a position of an expression."""
    line_start = expression.rfind("\n", 0, at) + 1
    line = expression[line_start:].partition("\n")[0]
    mark = re.sub(r"[^\t]", " ", line[: at - line_start])
    error = UsageError(f"--where: {problem}\n  {line}\n  {mark}^", hint=hint)
    error.at = at
    return error


class _Parser:
    """Recursive descent: disjunction > conjunction > negation > comparison."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = list(_tokens(expression))
        self.position = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def disjunction(self, depth: int) -> Condition:
        parts = self._joined("or", lambda: self.conjunction(depth))
        return parts[0] if len(parts) == 1 else Some(parts=parts)

    def conjunction(self, depth: int) -> Condition:
        parts = self._joined("and", lambda: self.negation(depth))
        return parts[0] if len(parts) == 1 else Every(parts=parts)

    def _joined(self, word: str, part: Callable[[], Condition]) -> tuple[Condition, ...]:
        parts = [part()]
        while self._is(word):
            self._next()
            parts.append(part())
        return tuple(parts)

    def negation(self, depth: int) -> Condition:
        if depth >= DEEPEST:
            self.fail(f"more than {DEEPEST} conditions within each other")
        if self._is("not"):
            self._next()
            return Not(part=self.negation(depth + 1))
        if self._sign("("):
            opened = self._next()
            inside = self.disjunction(depth + 1)
            if self.token.kind == "end":
                raise point_at(self.expression, opened.start, "this '(' is not closed")
            self._close("'and', 'or' or ')' is missing here")
            return inside
        return self.comparison()

    def comparison(self) -> Condition:
        if self._is("has"):
            self._next()
            name = self._field()
            return Exists(field=name.text.casefold(), at=name.start)
        name = self._field()
        if self._is("in"):
            self._next()
            return Some(parts=tuple(self._compared(name, "=", value) for value in self._values()))
        if self.token.kind != "operator":
            self.fail(f"an operator is missing after {name.text!r}: one of = != < <= > >= ~ !~ in")
        sign = self._next()
        operator = {"==": "=", "=~": "~"}.get(sign.text, sign.text)
        return self._compared(name, operator, self._value(f"after {sign.text!r}"))

    def _field(self) -> _Token:
        if self.token.kind not in ("word", "quoted") or self._is("and") or self._is("or"):
            self.fail("a field is missing here")
        return self._next()

    def _values(self) -> list[_Token]:
        if not self._sign("("):
            self.fail("'in' needs values in parentheses")
        self._next()
        values = [self._value("in the list")]
        while self._sign(","):
            self._next()
            values.append(self._value("after ','"))
        self._close("',' or ')' is missing here")
        return values

    def _close(self, problem: str) -> None:
        if not self._sign(")"):
            self.fail(problem)
        self._next()

    def _sign(self, text: str) -> bool:
        return self.token.kind == "sign" and self.token.text == text

    def _value(self, where: str) -> _Token:
        if self.token.kind not in ("word", "quoted"):
            self.fail(f"a value is missing {where}")
        return self._next()

    def _compared(self, name: _Token, operator: str, value: _Token) -> Comparison:
        field = name.text.casefold()
        ordered = operator in ("<", "<=", ">", ">=")
        if operator in ("=", "!=") and value.kind == "word" and re.search(r"[*?]", value.text):
            raise point_at(
                self.expression, value.start, f"patterns are compared with ~, as in: {name.text} ~ {value.text}"
            )
        number, span = _size(value.text) if field == "size" else _number(value.text), time_span(value.text)
        if field == "size" and number is None and "~" not in operator:
            raise point_at(self.expression, value.start, "a size is a number of bytes, or like 20k or 1.5mb")
        if field in ("date", "modified") and span is None and "~" not in operator:
            raise point_at(self.expression, value.start, "a date is like 2024, 2024-06, 2024-06-30 or 2024-06-30T12:00")
        if ordered and field in ("path", "name", "format", "type", "language"):
            raise point_at(self.expression, name.start, f"{field} has no order: compare it with = != ~ !~ in")
        return Comparison(
            field=field,
            operator=operator,  # type: ignore[arg-type]  # the tokens are those of Operator
            value=value.text,
            at=name.start,
            value_at=value.start,
            number=number,
            span=span,
        )

    def _is(self, word: str) -> bool:
        return self.token.kind == "word" and self.token.text.casefold() == word

    def _next(self) -> _Token:
        token = self.token
        self.position += 1
        return token

    def fail(self, problem: str) -> NoReturn:
        raise point_at(self.expression, self.token.start, problem)


def _tokens(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while match := TOKEN.match(expression, position):
        kind = match.lastgroup or ""
        text, start, position = match[kind], match.start(kind), match.end()
        if kind == "bad":
            problem = "this quote is not closed" if text in "\"'" else f"{text!r} means nothing here"
            raise point_at(expression, start, problem)
        if kind == "quoted":
            text = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
        tokens.append(_Token(kind, text, start, position))
    tokens.append(_Token("end", "", len(expression.rstrip()), len(expression)))
    return tokens


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text) else None


def _size(text: str) -> float | None:
    match = SIZE.fullmatch(text.casefold())
    return float(match[1]) * SIZES[match[2]] if match and match[2] in SIZES else None


def time_span(text: str) -> Span | None:
    """The time that a date names: a year, a month, a day, or a moment (a second long). Without a zone it is UTC."""
    text = text.strip()
    try:
        if match := re.fullmatch(r"([0-9]{4})(?:-([0-9]{1,2}))?", text):
            year, month = int(match[1]), int(match[2] or 1)
            start = datetime.datetime(year, month, 1, tzinfo=datetime.UTC)
            months = 1 if match[2] else 12
            after = year * 12 + month - 1 + months
            end = datetime.datetime(after // 12, after % 12 + 1, 1, tzinfo=datetime.UTC)
        elif re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            start = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
            end = start + datetime.timedelta(days=1)
        elif re.match(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", text):
            start = datetime.datetime.fromisoformat(text)
            start = start.replace(tzinfo=start.tzinfo or datetime.UTC)
            end = start + datetime.timedelta(seconds=1)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return Span(start=_nanoseconds(start), end=_nanoseconds(end))


def _nanoseconds(moment: datetime.datetime) -> int:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch) // datetime.timedelta(microseconds=1) * 1000
