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
from pipeline.index.scan import scan
from pipeline.types import IndexFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.store import Segment, Snapshot

logger = logging.getLogger(__name__)

EXACT_UP_TO = 64
EXACT_UP_TO_IN_A_BATCH = 16
"""A filter that lets through less than one row in so many is faster searched exactly."""

FEWEST_ROWS_A_CANDIDATE = 16
"""Where more than one row in so many would have to be re-scored, an exact scan is faster."""

_opened: WeakKeyDictionary[Segment, ApproximateIndex | None] = WeakKeyDictionary()
_opening = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A segment with the rows that may be found in it (None: every one), and its index if that is to be used."""

    number: int
    segment: Segment
    allowed: NDArray[np.bool_] | None
    rows: int
    index: ApproximateIndex | None


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
    parts = _parts(snapshot, queries, allowed, _recorded(snapshot) if index_files is None else index_files)
    ranking = Ranking(queries, k)
    indexed = _with_index(parts, k)
    for part in parts:
        if part.rows and part not in indexed:
            scan(ranking, part.number, part.segment.vectors, part.allowed)
    if indexed:
        _search_indexes(ranking, indexed)
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
    queries: NDArray[np.float32],
    allowed: Sequence[NDArray[np.bool_] | None] | None,
    index_files: Mapping[str, tuple[Path, IndexFacts]],
) -> list[_Part]:
    import numpy as np  # noqa: PLC0415 - heavy

    masks = [None] * len(snapshot.segments) if allowed is None else allowed
    sparse = EXACT_UP_TO if len(queries) == 1 else EXACT_UP_TO_IN_A_BATCH
    parts: list[_Part] = []
    for number, (segment, asked) in enumerate(zip(snapshot.segments, masks, strict=True)):
        rows = segment.record.rows
        if asked is not None and asked.shape != (rows,):
            raise ValueError(f"the mask of segment {segment.id} has shape {asked.shape}, not ({rows},)")
        live = segment.live_mask if segment.record.deleted_rows else None
        mask = live if asked is None else asked if live is None else asked & live
        count = rows if mask is None else int(np.count_nonzero(mask))
        index = None
        if count * sparse > rows and (named := index_files.get(segment.id)):
            index = _index(segment, *named)
        parts.append(_Part(number, segment, None if count == rows else mask, count, index))
    return parts


def _with_index(parts: list[_Part], k: int) -> list[_Part]:
    """The parts whose index saves work for this k."""
    return [part for part in parts if part.index and _wanted([part], k) * FEWEST_ROWS_A_CANDIDATE <= part.rows]


def _wanted(parts: list[_Part], k: int) -> int:
    """Rows to re-score for k hits: what was measured for ten of them, and as many times more for more."""
    return max(part.index.facts.candidates for part in parts if part.index) * -(-k // NEIGHBOURS)


def _search_indexes(ranking: Ranking, parts: list[_Part]) -> None:
    """Re-scores the rows that seem best among the candidates of all the indexes together."""
    import numpy as np  # noqa: PLC0415 - heavy

    wanted = _wanted(parts, ranking.k)
    found = [
        part.index.candidates(ranking.queries, min(wanted, part.rows), part.allowed) for part in parts if part.index
    ]
    estimates = np.concatenate([scores for scores, _ in found], axis=1)
    rows = np.concatenate([rows for _, rows in found], axis=1)
    owners = np.repeat(np.arange(len(parts)), [part.shape[1] for _, part in found])
    for query in range(len(ranking.queries)):
        best = np.argsort(-estimates[query], kind="stable")[:wanted]
        best = best[rows[query, best] >= 0]
        for at, part in enumerate(parts):
            mine = best[owners[best] == at]
            ranking.score(query, part.number, part.segment.vectors, rows[query, mine])


def _index(segment: Segment, path: Path, facts: IndexFacts) -> ApproximateIndex | None:
    """The segment's index, opened once in a process; None where it is of no use. Its vectors are there in any case."""
    with _opening:
        if segment not in _opened:
            _opened[segment] = _open(segment, path, facts)
        return _opened[segment]


def _open(segment: Segment, path: Path, facts: IndexFacts) -> ApproximateIndex | None:
    if not facts.usable:
        return None
    try:
        return ApproximateIndex.open(path, facts, rows=segment.record.rows, dimension=segment.vectors.shape[1])
    except CorruptCollection as error:
        logger.warning("%s; searching without it, which is slower. %s", error.message, error.hint)
        return None
