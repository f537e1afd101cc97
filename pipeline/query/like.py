"""Similar to a passage that is there: `--like PATH:LINE`.

In: a place in a collection. Out: the rows that it names, which stand for what is searched for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.query.scope import Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TELLING_WORDS = 20
"""So many of a passage's words are searched for, the most telling ones; the others say little and take long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Rows of a document that others shall be like."""

    rows: list[int]


def find_example(scope: Scope, place: str) -> Example:
    """The passage at `PATH:LINE`, or all of `PATH`. Raises UsageError where there is none."""
    match = re.fullmatch(r"(.+?)(?::([0-9]+)(?:-[0-9]+)?)?", place, re.DOTALL)
    if match is None:
        raise UsageError("--like needs a place", hint="like: notes/keys.md:12")
    rows = _document(scope, match[1])
    if match[2] is None:
        return Example(rows=list(rows))
    line = int(match[2])
    passages = scope.passages(rows)
    found = [row for row, each in zip(rows, passages, strict=True) if each["start_line"] <= line <= each["end_line"]]
    if not found:
        spans = ", ".join(f"{each['start_line']}-{each['end_line']}" for each in passages[:8])
        raise UsageError(f"no passage of {match[1]} has line {line}", hint=f"its passages have the lines {spans}")
    return Example(rows=found[:1])


def _document(scope: Scope, path: str) -> range:
    """The rows of the live document with this path, absolute or from the working folder, or the end of one."""
    absolute = str(Path(path).expanduser().absolute())
    similar: list[tuple[str, range]] = []
    for segment, start in zip(scope.segments, scope.starts, strict=False):
        for batch in segment.document_batches("path", "first_row", "rows"):
            columns = (batch.column(name).to_pylist() for name in ("path", "first_row", "rows"))
            for stored, first, rows in zip(*columns, strict=True):
                if not rows or not segment.live_mask[first]:
                    continue
                if stored in (absolute, path):
                    return range(start + first, start + first + rows)
                if stored.endswith("/" + path.removeprefix("./")):
                    similar.append((stored, range(start + first, start + first + rows)))
    if len(similar) == 1:
        return similar[0][1]
    if similar:
        names = ", ".join(sorted(name for name, _ in similar)[:5])
        raise UsageError(f"{path} is the end of {len(similar)} paths: {names}", hint="give more of the path")
    raise UsageError(f"no document {path} is in the collection", hint="see: pipeline collections show NAME")


def example_vector(scope: Scope, example: Example) -> NDArray[np.float32]:
    """The stored vector of the example, or the direction of the mean of several: (dimension,), unit norm."""
    import numpy as np  # noqa: PLC0415 - heavy

    mean = scope.vectors(example.rows).mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def example_words(scope: Scope, example: Example) -> str:
    """The words that tell the example from other passages."""
    text = "\n".join(passage["text"] for passage in scope.passages(example.rows))
    return " ".join(scope.lexical.telling_words(text, TELLING_WORDS))
