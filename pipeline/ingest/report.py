"""What a run says of itself: while it goes on, to whoever watches, and at its end.

In: nothing. Out: the records that a run fills in, and the calls that it makes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file or passage that could not be indexed, and why."""

    path: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A file that was indexed, and what of it could not be."""

    path: str
    notice: str


@dataclass(slots=True, kw_only=True)
class DocumentCounts:
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0


@dataclass(slots=True, kw_only=True)
class ChunkCounts:
    """`reused` counts chunks of documents read again whose vectors the collection already had."""

    embedded: int = 0
    reused: int = 0
    removed: int = 0
    total: int = 0


@dataclass(slots=True, kw_only=True)
class IndexReport:
    """What a run did; `skipped` counts files that are not documents, by reason."""

    collection: str
    model: str = ""
    dimension: int = 0
    documents: DocumentCounts = field(default_factory=DocumentCounts)
    chunks: ChunkCounts = field(default_factory=ChunkCounts)
    failures: list[Failure] = field(default_factory=list[Failure])
    notices: list[Notice] = field(default_factory=list[Notice])
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class IndexProgress:
    """What a caller may watch; every method does nothing here.

    One that raises ends the run, as Ctrl-C does: what has been embedded is kept.
    """

    def walked(self, files: int) -> None:
        """The walk over the paths found so many documents."""

    def file_done(self) -> None:
        """A document has been looked at."""

    def chunks_planned(self, count: int) -> None:
        """So many more chunks have to be embedded."""

    def chunks_done(self, count: int) -> None:
        """So many chunks have been embedded or given up."""
