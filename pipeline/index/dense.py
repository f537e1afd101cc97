"""Dense search: the k most similar passages of a snapshot, for one query or many.

In: a snapshot, unit query vectors, which rows may be found. Out: hits by falling cosine similarity. A segment is
searched exactly, or by its index where it has one; either way the scores are exact, and what is not allowed never takes
the place of what is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pipeline.errors import BadVector, CorruptCollection, DimensionMismatch, UsageError
from pipeline.index.approximate import NEIGHBOURS, ApproximateIndex
from pipeline.index.ranking import Ranking, RowHit
from pipeline.index.scan import Part, scan
from pipeline.index.threads import one_by_one, side_by_side
from pipeline.types import IndexFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.store import Segment, Snapshot

logger = logging.getLogger(__name__)

# What a row costs, relative to each other and whatever the dimension (measured: microseconds at 768 of them).
SCANNED = 0.1
GATHERED = 0.4
ESTIMATED = 0.0085
RESCORED = 1.2

WORTH_THREADS = 100_000
"""Rows, counted once for each query, from which on the work is shared out among threads: about a millisecond of it."""

SLICE = 16
"""Queries of a batch that are one thread's piece of work."""

_opened: WeakKeyDictionary[Segment, ApproximateIndex | None] = WeakKeyDictionary()
_opening = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A segment, which rows may be found in it (None: every one), how many those are, and its index if it has one."""

    number: int
    segment: Segment
    allowed: NDArray[np.bool_] | None
    rows: int
    index_file: tuple[Path, IndexFacts] | None
    verified: bool
    """Whether the store has found the index file to be the one that was committed."""


def search_dense(
    snapshot: Snapshot,
    queries: NDArray[np.float32],
    k: int,
    *,
    allowed: Sequence[NDArray[np.bool_] | None] | None = None,
    index_files: Mapping[str, tuple[Path, IndexFacts]] | None = None,
) -> list[list[RowHit]]:
    """The `k` live rows most similar to each of `queries`, float32 of shape (n, dimension) and unit norm.

    `allowed[i]`, a mask of shape (rows,), says which rows of segment i may be found; None means all of them.
    `index_files` names, by segment id, the index files that may be used; None means those of the segments. Equal scores
    rank by place in the collection, and a row's score is the same in whatever search it is found. With indexes, a row
    may be missed that `IndexFacts` counts as such.

    Raises DimensionMismatch or BadVector for queries that cannot be searched with, UsageError for a k below 1,
    ValueError for masks that are not those of the segments.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}")
    queries = _checked(snapshot, queries)
    if not len(queries):
        return []
    files = _recorded(snapshot) if index_files is None else index_files
    parts = _parts(snapshot, allowed, files, verified=index_files is None)
    wanted = _wanted(parts, k)
    indexes = _indexes([part for part in parts if _index_saves_work(part, wanted)])
    ranking = Ranking(queries, k)
    scan(
        ranking,
        [
            Part(part.number, part.segment.vectors, part.allowed)
            for part in parts
            if part.rows and part.number not in indexes
        ],
    )
    if indexes:
        _search_indexes(ranking, [(part, indexes[part.number]) for part in parts if part.number in indexes], wanted)
    return ranking.hits()


def _checked(snapshot: Snapshot, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415 - heavy

    model = snapshot.manifest.model
    if queries.ndim != 2 or queries.shape[1] != model.dimension:
        raise DimensionMismatch(
            model=model.name,
            expected=model.dimension,
            actual=queries.shape[-1] if queries.ndim else 0,
            where=f"query to collection {snapshot.name!r}",
        )
    if not np.isfinite(queries).all():
        raise BadVector(
            f"query to collection {snapshot.name!r}: the vector holds NaN or an infinity",
            hint="try the model with options num_gpu 0, or another quantisation of it",
        )
    return np.ascontiguousarray(queries, np.float32)


def _recorded(snapshot: Snapshot) -> dict[str, tuple[Path, IndexFacts]]:
    """The index files that the manifest names; a damaged one is left out, since the vectors are there in any case."""
    found: dict[str, tuple[Path, IndexFacts]] = {}
    for segment in snapshot.segments:
        try:
            if (recorded := segment.index_file) is not None:
                path, facts = recorded
                found[segment.id] = path, IndexFacts(**facts)
        except (CorruptCollection, TypeError) as error:
            logger.warning("an index is of no use, searching without it, which is slower: %s", error)
    return found


def _parts(
    snapshot: Snapshot,
    allowed: Sequence[NDArray[np.bool_] | None] | None,
    index_files: Mapping[str, tuple[Path, IndexFacts]],
    *,
    verified: bool,
) -> list[_Part]:
    import numpy as np  # noqa: PLC0415 - heavy

    masks = [None] * len(snapshot.segments) if allowed is None else allowed
    parts: list[_Part] = []
    for number, (segment, asked) in enumerate(zip(snapshot.segments, masks, strict=True)):
        rows = segment.record.rows
        if asked is not None and asked.shape != (rows,):
            raise ValueError(f"the mask of segment {segment.id} has shape {asked.shape}, not ({rows},)")
        live = segment.live_mask if segment.record.deleted_rows else None
        mask = live if asked is None else asked if live is None else asked & live
        count = rows if mask is None else int(np.count_nonzero(mask))
        mask = None if count == rows else mask
        parts.append(_Part(number, segment, mask, count, index_files.get(segment.id), verified))
    return parts


def _wanted(parts: list[_Part], k: int) -> int:
    """Rows to re-score for k hits: what was measured for ten of them, and as many times more for more."""
    facts = (part.index_file[1] for part in parts if part.index_file)
    return max((each.candidates for each in facts if each.usable), default=0) * -(-k // NEIGHBOURS)


def _index_saves_work(part: _Part, wanted: int) -> bool:
    """Whether an exact scan of what is allowed takes longer.

    The number of queries is left out of it, so that a query finds the same alone as among others.
    """
    if part.index_file is None or not part.index_file[1].usable:
        return False
    total = part.segment.record.rows
    exact = min(part.rows * GATHERED, total * SCANNED)
    return total * ESTIMATED + min(wanted, part.rows) * RESCORED < exact


def _search_indexes(ranking: Ranking, parts: list[tuple[_Part, ApproximateIndex]], wanted: int) -> None:
    """Re-scores the `wanted` rows that seem best among the candidates of all the indexes together."""
    import numpy as np  # noqa: PLC0415 - heavy

    total = len(ranking.queries)
    vectors = [part.segment.vectors for part, _ in parts]
    slices = [range(at, min(at + SLICE, total)) for at in range(0, total, SLICE)]

    def candidates(task: tuple[range, int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        queries, at = task
        part, index = parts[at]
        return index.candidates(ranking.queries[queries.start : queries.stop], min(wanted, part.rows), part.allowed)

    def rescore(number: int) -> None:
        of_parts = found[number * len(parts) : (number + 1) * len(parts)]
        estimates = np.concatenate([scores for scores, _ in of_parts], axis=1)
        rows = np.concatenate([rows for _, rows in of_parts], axis=1)
        owners = np.repeat(np.arange(len(parts)), [seen.shape[1] for _, seen in of_parts])
        for within, query in enumerate(slices[number]):
            best = np.argsort(-estimates[within], kind="stable")[:wanted]
            best = best[rows[within, best] >= 0]
            for at, (part, _) in enumerate(parts):
                ranking.score(query, part.number, vectors[at], rows[within, best[owners[best] == at]])

    each = side_by_side if total * sum(map(len, vectors)) >= WORTH_THREADS else one_by_one
    found = each(candidates, [(queries, at) for queries in slices for at in range(len(parts))])
    each(rescore, range(len(slices)))


def _indexes(parts: list[_Part]) -> dict[int, ApproximateIndex]:
    """The indexes of the segments by their number, each opened once in a process.

    A damaged one is left out: the segment's vectors are there in any case.
    """
    with _opening:
        missing = [part for part in parts if part.segment not in _opened]
        for part, index in zip(missing, side_by_side(_open, missing), strict=True):
            _opened[part.segment] = index
        opened = {part.number: _opened[part.segment] for part in parts}
    return {number: index for number, index in opened.items() if index is not None}


def _open(part: _Part) -> ApproximateIndex | None:
    assert part.index_file is not None
    path, facts = part.index_file
    rows, dimension = part.segment.vectors.shape
    try:
        return ApproximateIndex.open(path, facts, rows=rows, dimension=dimension, verified=part.verified)
    except CorruptCollection as error:
        logger.warning("%s; searching without it, which is slower. %s", error.message, error.hint)
        return None
