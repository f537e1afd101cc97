"""All passages of the documents that meet a condition, in the order in which they are read. Nothing is ranked.

In: a snapshot, a condition. Out: Hits.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline.errors import UsageError
from pipeline.query.candidates import Candidate
from pipeline.query.filters import masks_where
from pipeline.query.hits import hits_of
from pipeline.query.options import SearchOptions
from pipeline.query.scope import Scope
from pipeline.query.selection import Group
from pipeline.store import Snapshot
from pipeline.types import Hit


def passages_where(snapshot: Snapshot, where: str | None, *, most: int) -> list[Hit]:
    """Passages by path and place; `rank` counts them through. Without a condition those of all documents.

    Raises UsageError for a condition that cannot be understood, and for more than `most` passages.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    scope = Scope([snapshot])
    chosen = scope.live.copy()
    if where is not None and scope.segments:
        chosen &= np.concatenate(masks_where([snapshot], where)[0])
    rows: list[int] = np.flatnonzero(chosen).tolist()
    if len(rows) > most:
        raise UsageError(
            f"{len(rows)} passages are more than the {most} that are read at once",
            hint="narrow them down, for example with --where \"path ~ 'docs/**'\"",
        )
    passages = sorted(
        zip(rows, scope.passages(rows), strict=True), key=lambda pair: (pair[1]["path"], pair[1]["start"])
    )
    groups = [
        Group(candidate=Candidate(row=row, score=0.0), passage=passage, rows={scope.place(row)})
        for row, passage in passages
    ]
    hits = hits_of(groups, scope, "", SearchOptions(k=max(1, len(groups))))
    return [replace(hit, rank=rank) for rank, hit in enumerate(hits, start=1)]
