"""The lexical indexes of several segments -> the parts of that of the segment they were merged into. No text is read.

In: what the segments hold, and which of their rows still count. Out: `Part`s that hold what `making` would put in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.lexical.making import PART_ROWS
from pipeline.lexical.postings import Part, SegmentTerms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PART_POSTINGS = 2**19
"""Postings after which a part ends: what is held in memory while one is made goes with it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A part of one of the segments, and which of its rows still count."""

    part: Part
    live: NDArray[np.bool_]


def merged_parts(sources: Iterable[tuple[SegmentTerms, NDArray[np.bool_]]]) -> Iterator[Part]:
    """The parts, one after the other. Each source comes with a mask of shape (rows,) that says which rows remain."""
    held: list[_Piece] = []
    first_row = rows = postings = 0
    for terms, live in sources:
        for part in terms.parts:
            piece = _Piece(part, live[part.first_row : part.first_row + len(part.lengths)])
            count = int(piece.live.sum())
            if held and (rows + count > PART_ROWS or postings >= PART_POSTINGS):
                yield _joined(held, first_row)
                held, first_row, rows, postings = [], first_row + rows, 0, 0
            held.append(piece)
            rows, postings = rows + count, postings + len(part.rows)
    if rows:
        yield _joined(held, first_row)


def _joined(pieces: list[_Piece], first_row: int) -> Part:
    """The live rows of all pieces, in order, as one part."""
    import numpy as np  # noqa: PLC0415 - heavy
    import pyarrow as pa  # noqa: PLC0415 - heavy

    spelled = pa.concat_arrays([piece.part.terms for piece in pieces]).dictionary_encode()
    names: list[str] = spelled.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.uint64)
    place[order] = np.arange(len(names), dtype=np.uint64)
    places = place[spelled.indices.to_numpy()]
    keys = np.empty(sum(len(piece.part.rows) for piece in pieces), np.uint64)
    begin = row = filled = 0
    for piece in pieces:
        found = _keys(piece, places[begin : begin + len(piece.part.terms)], row)
        keys[filled : filled + len(found)] = found
        begin, row, filled = begin + len(piece.part.terms), row + int(piece.live.sum()), filled + len(found)
    keys = keys[:filled]
    keys.sort()
    terms = (keys >> np.uint64(24)).astype(np.uint32)
    # A term that only dead rows have is there no more.
    starts = np.flatnonzero(np.diff(terms, prepend=np.uint32(len(names))))
    return Part(
        first_row=first_row,
        lengths=np.concatenate([piece.part.lengths[piece.live] for piece in pieces]),
        terms=pa.array([names[order[term]] for term in terms[starts].tolist()], pa.string()),
        offsets=np.append(starts, len(keys)).astype(np.int32),
        rows=(keys >> np.uint64(8)).astype(np.uint16),
        frequencies=keys.astype(np.uint8),
    )


def _keys(piece: _Piece, places: NDArray[np.uint64], first: int) -> NDArray[np.uint64]:
    """Of each posting of a live row the place of its term, the row's number from `first` on, and how often."""
    import numpy as np  # noqa: PLC0415 - heavy

    part = piece.part
    term = np.repeat(places, np.diff(part.offsets))
    row = (np.cumsum(piece.live) - 1 + first).astype(np.uint64)[part.rows]
    keys = term << np.uint64(24) | row << np.uint64(8) | part.frequencies.astype(np.uint64)
    return keys[piece.live[part.rows]]
