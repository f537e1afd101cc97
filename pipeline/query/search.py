"""Dense search: a question and a collection become ranked Hits.

In: a snapshot, the embedder of its model, the question. Out: hits by falling cosine similarity.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pipeline.embed import Embedder
from pipeline.errors import UsageError
from pipeline.index import RowHit, search_dense
from pipeline.store import Snapshot
from pipeline.types import Hit, Scores

HEADING_SEPARATOR = " > "
MODES = ("dense",)


def search(snapshot: Snapshot, embedder: Embedder, query: str, *, k: int = 10, mode: str = MODES[0]) -> list[Hit]:
    """The `k` passages most similar to `query`, best first; fewer where the collection has fewer.

    Raises:
        UsageError: the query is empty, or longer than the model's context.
        ModelMismatch, DimensionMismatch: the server's model is not the collection's.
        ApiError: the server cannot be asked.
    """
    if not query.strip():
        raise UsageError("the query is empty", hint="say what to look for")
    if mode not in MODES:
        raise UsageError(f"there is no mode {mode!r}", hint=f"choose one of {', '.join(MODES)}")
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}")
    if snapshot.manifest.live_rows == 0:
        return []
    snapshot.require_identity(embedder.identity)
    return _hits(snapshot, search_dense(snapshot, embedder.embed_query(query)[None, :], k)[0])


def _hits(snapshot: Snapshot, rows: list[RowHit]) -> list[Hit]:
    by_segment: defaultdict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_segment[row.segment].append(row.row)
    passages: dict[tuple[int, int], dict[str, Any]] = {}
    for segment, wanted in by_segment.items():
        found = snapshot.segments[segment].passages(wanted)
        passages.update({(segment, row): passage for row, passage in zip(wanted, found, strict=True)})
    return [_hit(passages[row.segment, row.row], rank=rank, score=row.score) for rank, row in enumerate(rows, start=1)]


def _hit(passage: dict[str, Any], *, rank: int, score: float) -> Hit:
    return Hit(
        rank=rank,
        score=score,
        path=passage["path"],
        start_line=passage["start_line"],
        end_line=passage["end_line"],
        page=passage["page"],
        heading=HEADING_SEPARATOR.join(passage["heading_path"]),
        text=passage["text"],
        document_id=passage["document_id"],
        chunk_id=passage["chunk_id"],
        scores=Scores(dense=score),
    )
