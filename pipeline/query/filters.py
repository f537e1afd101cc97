"""Conditions of `--where` against the documents of a snapshot.

In: a parsed condition, a snapshot. Out: for each segment a mask of the rows whose documents meet it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pipeline.query.where import (
    FIELDS,
    Comparison,
    Condition,
    Every,
    Exists,
    Not,
    Some,
    Span,
    parse_where,
    point_at,
    time_span,
)
from pipeline.read.formats import FORMATS
from pipeline.read.metadata import SYNONYMS
from pipeline.store import Segment, Snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = ("path", "title", "format", "metadata", "first_row", "rows")
SHOWN_KEYS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What of a document can be asked for."""

    path: str
    title: str
    format: str
    size: int
    mtime_ns: int
    metadata: Mapping[str, Any]

    def values(self, field: str) -> list[Any]:
        """The values of a field; none where the document has none. A list in the metadata has several."""
        if field in ("type", "format"):
            return [self.format]
        if field in ("path", "title"):
            return [text] if (text := getattr(self, field)) else []
        if field == "name":
            return [PurePath(self.path).name]
        if field == "size":
            return [self.size]
        if field == "modified" or (field == "date" and "date" not in self.metadata):
            return [Span(start=self.mtime_ns, end=self.mtime_ns + 1)] if self.mtime_ns else []
        value = self.metadata.get(field)
        found = value if isinstance(value, list) else [value]
        # Readers write lists as one line: see docs/formats.md.
        items = [item for text in found if isinstance(text, str) and ", " in text for item in text.split(", ")]
        return [item for item in (*found, *items) if item is not None and item != ""]


def masks_where(snapshots: Sequence[Snapshot], expression: str) -> list[list[NDArray[np.bool_]]]:
    """For each segment of each snapshot, shape (rows,): whether the row's document meets `expression`.

    Raises UsageError: the expression cannot be understood, or names a field that no document has.
    """
    condition = parse_where(expression)
    keys, formats = set[str](), set[str]()
    masks = [
        [_mask(snapshot, segment, condition, keys, formats) for segment in snapshot.segments] for snapshot in snapshots
    ]
    for part in _leaves(condition) if snapshots else ():
        _require_field(expression, part, keys)
        if isinstance(part, Comparison) and part.field in ("format", "type"):
            _require_format(expression, part, formats)
    return masks


def _require_field(expression: str, part: Comparison | Exists, keys: set[str]) -> None:
    """Raises UsageError for a field that no document has."""
    if part.field in FIELDS or part.field in keys:
        return
    if key := SYNONYMS.get(part.field):
        hint = f"readers keep {part.field!r} under the key {key!r}; see docs/formats.md"
    else:
        known = [*FIELDS, *sorted(keys - set(FIELDS))][: SHOWN_KEYS + len(FIELDS)]
        hint = f"there are: {', '.join(known)}"
    raise point_at(expression, part.at, f"no document has {part.field!r}", hint)


def _require_format(expression: str, part: Comparison, formats: set[str]) -> None:
    """Raises UsageError for a format that neither a reader nor a document here has: nothing could ever meet it."""
    known = {*FORMATS, *formats}
    if "~" in part.operator or part.value.casefold() in known:
        return
    near = get_close_matches(part.value.casefold(), sorted(known), n=1)
    hint = (f"did you mean {near[0]}? " if near else "") + f"there are: {', '.join(sorted(known))}"
    raise point_at(expression, part.value_at, f"there is no format {part.value!r}", hint)


def _mask(
    snapshot: Snapshot, segment: Segment, condition: Condition, keys: set[str], formats: set[str]
) -> NDArray[np.bool_]:
    import numpy as np  # noqa: PLC0415 - heavy

    mask = np.zeros(segment.record.rows, np.bool_)
    for facts, first, rows in _documents(snapshot, segment):
        keys.update(facts.metadata)
        formats.add(facts.format.casefold())
        if _meets(facts, condition):
            mask[first : first + rows] = True
    return mask


def _documents(snapshot: Snapshot, segment: Segment) -> Iterator[tuple[_Facts, int, int]]:
    _, sizes, times = snapshot.times(segment)
    position = 0
    for batch in segment.document_batches(*COLUMNS):
        columns = (batch.column(name).to_pylist() for name in COLUMNS)
        for path, title, kind, metadata, first, rows in zip(*columns, strict=True):
            facts = _Facts(
                path=path,
                title=title,
                format=kind,
                size=int(sizes[position]),
                mtime_ns=int(times[position]),
                metadata={key.casefold(): value for key, value in json.loads(metadata).items()},
            )
            position += 1
            yield facts, first, rows


def _leaves(condition: Condition) -> Iterator[Comparison | Exists]:
    match condition:
        case Comparison() | Exists():
            yield condition
        case Not():
            yield from _leaves(condition.part)
        case Every() | Some():
            for part in condition.parts:
                yield from _leaves(part)


def _meets(facts: _Facts, condition: Condition) -> bool:
    match condition:
        case Comparison(operator="!="):
            return not any(_equal(condition, value) for value in facts.values(condition.field))
        case Comparison(operator="!~"):
            return not any(_like(condition, value) for value in facts.values(condition.field))
        case Comparison():
            compare = COMPARED[condition.operator]
            return any(compare(condition, value) for value in facts.values(condition.field))
        case Exists():
            return bool(facts.values(condition.field))
        case Not():
            return not _meets(facts, condition.part)
        case Every():
            return all(_meets(facts, part) for part in condition.parts)
        case Some():
            return any(_meets(facts, part) for part in condition.parts)


def _equal(wanted: Comparison, value: Any) -> bool:
    if isinstance(value, bool):
        return wanted.value.casefold() == str(value).casefold()
    if isinstance(value, int | float):
        return wanted.number == value
    if wanted.field in ("date", "modified"):
        span = _span(value)
        return span is not None and wanted.span is not None and wanted.span.start <= span.start < wanted.span.end
    if wanted.field == "path":
        return value == wanted.value or value.endswith("/" + wanted.value.removeprefix("./"))
    text, asked = str(value).casefold(), wanted.value.casefold()
    if wanted.field == "language":
        return text == asked or re.split("[-_]", text)[0] == asked
    return text == asked


def _like(wanted: Comparison, value: Any) -> bool:
    if isinstance(value, Span):
        return False
    whole = wanted.field == "path"
    return _glob(wanted.value, whole).fullmatch(str(value)) is not None


def _order(wanted: Comparison, value: Any) -> int | None:
    """-1, 0 or 1 as the value is below, equal to or above what is asked; None where they cannot be compared.

    Numbers are compared as numbers, then dates as dates (equal within the time asked for), the rest as text.
    """
    if wanted.field not in ("date", "modified") and wanted.number is not None:
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        return (number > wanted.number) - (number < wanted.number)
    if wanted.span is not None:
        span = _span(value)
        if span is None:
            return None
        return (span.start >= wanted.span.end) - (span.start < wanted.span.start)
    text, asked = str(value).casefold(), wanted.value.casefold()
    return (text > asked) - (text < asked)


COMPARED: dict[str, Callable[[Comparison, Any], bool]] = {
    "=": _equal,
    "~": _like,
    "<": lambda wanted, value: _order(wanted, value) == -1,
    "<=": lambda wanted, value: _order(wanted, value) in (-1, 0),
    ">": lambda wanted, value: _order(wanted, value) == 1,
    ">=": lambda wanted, value: _order(wanted, value) in (0, 1),
}


def _span(value: Any) -> Span | None:
    return value if isinstance(value, Span) else time_span(str(value))


@lru_cache(maxsize=256)
def _glob(pattern: str, is_path: bool) -> re.Pattern[str]:
    """`*` and `?` stay within a folder of a path, `**` does not; a path's pattern may begin at any folder."""
    plain = pattern.removeprefix("./") if is_path else pattern
    out = "" if not is_path or plain.startswith("/") else "(?:.*/)?"
    for piece in re.findall(r"\*\*/|\*+|\?|[^*?]+", plain):
        if piece == "**/":
            out += "(?:.*/)?"
        elif piece == "?":
            out += "[^/]" if is_path else "."
        elif piece[0] == "*":
            out += ".*" if len(piece) > 1 or not is_path else "[^/]*"
        else:
            out += re.escape(piece)
    return re.compile(out, re.DOTALL if is_path else re.DOTALL | re.IGNORECASE)
