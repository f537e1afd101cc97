"""What the lines of a PDF page are to each other: columns in reading order, paragraphs, headings by size.

In: pieces of lines with their boxes, in the order of the file. Out: the same pieces in reading order, in groups. Pure
geometry; units are points, the origin is below left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

LEAST_COLUMN_LINES = 6
"""So many lines side by side make columns; fewer may be a caption or a signature."""
LEAST_FILL = 0.6
"""How much of its column's width the usual line of running text takes; cells of a table take less."""
MIDDLE = (0.3, 0.7)
"""Where, as parts of the width of the text, the space between two columns is looked for."""
PARAGRAPH_GAP = 1.5
"""A distance between two lines that is so many times the usual one starts a paragraph."""
HEADING_SIZE = 1.15
"""A line so many times the size of the usual text is a heading."""
LONGEST_HEADING = 200
MOST_SIZES = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """A line of a page, or what one column has of it."""

    text: str
    left: float
    right: float
    top: float
    bottom: float
    bold: bool = False

    @property
    def size(self) -> float:
        return self.top - self.bottom


def gutter_of(boxes: Sequence[tuple[float, float, float, float]]) -> float | None:
    """Where two columns of running text part: an x that few boxes (left, bottom, right, top) cross, or None."""
    if len(boxes) < 2 * LEAST_COLUMN_LINES:
        return None
    left, right = min(box[0] for box in boxes), max(box[2] for box in boxes)
    width = right - left
    starts = sorted({box[0] for box in boxes if MIDDLE[0] * width < box[0] - left < MIDDLE[1] * width})
    best: tuple[int, float] | None = None
    for x in starts[:200]:
        crossing = sum(box[0] < x - 1 and box[2] > x - 1 for box in boxes)
        if best is None or crossing < best[0]:
            best = (crossing, x)
    if best is None or best[0] > len(boxes) // 4:
        return None
    gutter = best[1] - 1
    ends = [box[2] for box in boxes if box[2] <= gutter]
    if not ends:
        return None
    sides = (
        _line_widths(box for box in boxes if box[2] <= gutter),
        _line_widths(box for box in boxes if box[0] >= gutter),
    )
    rooms = (max(ends) - left, right - gutter)
    for widths, room in zip(sides, rooms, strict=True):
        if len(widths) < LEAST_COLUMN_LINES or median(widths) < LEAST_FILL * room:
            return None
    return gutter


def _line_widths(boxes: Iterable[tuple[float, float, float, float]]) -> list[float]:
    """How wide the lines are that boxes of the same height make up."""
    lines: dict[int, list[tuple[float, float]]] = {}
    for left, bottom, right, _ in boxes:
        lines.setdefault(round(bottom / 3), []).append((left, right))
    return [max(right for _, right in spans) - min(left for left, _ in spans) for spans in lines.values()]


def by_columns(pieces: Sequence[Piece], gutter: float) -> list[Piece]:
    """Pieces in reading order: between two that cross the gutter, the left column comes before the right one."""
    ordered: list[Piece] = []
    left: list[Piece] = []
    right: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: -piece.top):
        if piece.left < gutter < piece.right:
            ordered += left + right + [piece]
            left, right = [], []
        else:
            (left if piece.right <= gutter else right).append(piece)
    return ordered + left + right


def paragraphs(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Runs of pieces that belong together: one below the other, at the usual distance, in about the same size."""
    steps = [above.bottom - below.bottom for above, below in pairwise(pieces) if above.bottom > below.bottom]
    usual = median(steps) if steps else 0
    groups: list[list[Piece]] = []
    for piece in pieces:
        last = groups[-1][-1] if groups else None
        if last is None or not _continues(last, piece, usual):
            groups.append([piece])
        else:
            groups[-1].append(piece)
    return groups


def _continues(last: Piece, piece: Piece, usual: float) -> bool:
    step = last.bottom - piece.bottom
    larger, smaller = max(last.size, piece.size), max(0.1, min(last.size, piece.size))
    below = -0.5 * larger < step <= max(PARAGRAPH_GAP * usual, 1.1 * larger)
    return below and larger / smaller < HEADING_SIZE


def heading_levels(pages: Iterable[Sequence[Piece]]) -> dict[int, int]:
    """The levels of headings by their size in half points: 1 for the largest."""
    counts: Counter[int] = Counter()
    for pieces in pages:
        for piece in pieces:
            counts[round(2 * piece.size)] += len(piece.text)
    if not counts:
        return {}
    usual = counts.most_common(1)[0][0]
    total = counts.total()
    # What is a third of all the text is no heading, whatever its size.
    sizes = sorted(
        (size for size, count in counts.items() if size >= HEADING_SIZE * usual and 3 * count < total), reverse=True
    )
    return {size: min(level, MOST_SIZES) for level, size in enumerate(sizes, 1)}
