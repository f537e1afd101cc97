"""A query and its hits on a map. In: the query's vector, hits of a search. Out: places, as JSON for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.map.data import Frame
from pipeline.map.make import CollectionMap
from pipeline.map.place import NEIGHBOURS, places_among

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.types import Hit


def query_json(made: CollectionMap, text: str, vector: NDArray[np.float32], hits: Sequence[Hit]) -> dict[str, Any]:
    """`{"text", "x", "y", "hits": [{"rank", "score", "point", "x", "y", "path", "start_line", "text", ...}]}`.

    `vector`, shape (dimension,) and unit norm, is the query's. A hit that is not among the points has `point` null and
    the place that its own vector gives it.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    rows = _rows_of(made, hits)
    at = np.searchsorted(made.sample.rows, rows)
    shown = at < len(made.sample)
    shown[shown] = made.sample.rows[at[shown]] == rows[shown]
    places = np.empty((len(hits), 2), np.float32)
    places[shown] = made.places[at[shown]]
    for hidden in np.flatnonzero(~shown).tolist():
        stored = vector if rows[hidden] < 0 else made.sample.scope.vectors([int(rows[hidden])])[0]
        places[hidden] = _place(made, stored)
    frame = Frame.of(made.places)
    query = frame.whole(_place(made, vector)[None, :])[0].tolist()
    drawn = frame.whole(places).tolist()
    return {
        "text": text,
        "x": query[0],
        "y": query[1],
        "hits": [
            {
                "rank": hit.rank,
                "score": hit.score,
                "point": int(point) if visible else None,
                "x": place[0],
                "y": place[1],
                "path": hit.path,
                "start_line": hit.start_line,
                "end_line": hit.end_line,
                "heading": hit.heading,
                "text": hit.text,
                "document_id": hit.document_id,
                "chunk_id": hit.chunk_id,
            }
            for hit, point, visible, place in zip(hits, at.tolist(), shown.tolist(), drawn, strict=True)
        ],
    }


def _place(made: CollectionMap, vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where a vector stands among the passages that are drawn: shape (2,)."""
    import numpy as np  # noqa: PLC0415 - heavy

    scope = made.sample.scope
    allowed: NDArray[np.bool_] | None = None
    if len(made.sample) < scope.rows:
        allowed = np.zeros(scope.rows, np.bool_)
        allowed[made.sample.rows] = True
    near = scope.nearest(vector, min(NEIGHBOURS, len(made.sample)), allowed)
    points = np.searchsorted(made.sample.rows, [row for row, _ in near])
    cosines = np.array([[cosine for _, cosine in near]], np.float32)
    return places_among(cosines, made.places[points][None, :])[0]


def _rows_of(made: CollectionMap, hits: Sequence[Hit]) -> NDArray[np.int64]:
    """The row of each hit in the map's snapshot, -1 for one that this does not have."""
    import numpy as np  # noqa: PLC0415 - heavy

    scope = made.sample.scope
    wanted = {hit.document_id for hit in hits}
    rows: dict[str, int] = {}
    for segment, start in zip(scope.segments, scope.starts, strict=False):
        for batch in segment.document_batches("document_id", "first_row", "rows"):
            columns = (batch.column(name).to_pylist() for name in ("document_id", "first_row", "rows"))
            for document, first, count in zip(*columns, strict=True):
                if document not in wanted or not count or not segment.live_mask[first]:
                    continue
                numbers = range(start + first, start + first + count)
                passages = scope.passages(numbers)
                rows.update((each["chunk_id"], row) for row, each in zip(numbers, passages, strict=True))
    return np.array([rows.get(hit.chunk_id, -1) for hit in hits], np.int64)
