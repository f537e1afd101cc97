"""Rows of cells as lines of text that can be understood one by one: `Port: Ness; Height: 4.2 m`.

In: the rows of a table. Out: a line for each, under the names of the columns where the first row has such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

NUMBER = re.compile(r"[-+]?[\d.,\s]*\d[\d.,\s]*(?:%|[eE][-+]?\d+)?")
LONGEST_NAME = 80
"""What is longer, in characters, is no name of a column."""
CELL_SEPARATOR = " | "
FIELD_SEPARATOR = "; "


def row_lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A line for each row, in order; empty for a row of empty cells."""
    rows = iter(rows)
    first = [squeezed(list(row)) for row in islice(rows, 2)]
    names = first[0] if len(first) == 2 and is_header(first[0]) else None
    for number, row in enumerate(chain(first, map(squeezed, rows))):
        if names is None or number == 0:
            yield CELL_SEPARATOR.join(row) if any(row) else ""
        else:
            yield FIELD_SEPARATOR.join(_fields(names, row))


def is_header(row: Sequence[str]) -> bool:
    """Whether a row holds the names of columns: two or more, short, each another, no numbers."""
    cells = list(row)
    while cells and not cells[-1]:
        cells.pop()
    named = all(cell and len(cell) <= LONGEST_NAME and not NUMBER.fullmatch(cell) for cell in cells)
    return named and len(cells) >= 2 and len(set(cells)) == len(cells)


def squeezed(row: Sequence[str]) -> list[str]:
    """The cells with white space, line ends included, as single spaces."""
    return [" ".join(cell.split()) for cell in row]


def _fields(names: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    for position, cell in enumerate(row):
        if cell:
            name = names[position] if position < len(names) else ""
            yield f"{name}: {cell}" if name else cell
