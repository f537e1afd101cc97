"""Looks after a collection's segments: merges small ones, drops dead rows, indexes large ones, while readers read.

In: a collection's writer. Out: fewer segments with the same content. Each step is a commit of its own, so that one that
is cut short loses nothing and the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import CorruptCollection
from pipeline.index import WORTH_AN_INDEX, build_index
from pipeline.lexical import bring_up_to_date, carry_over
from pipeline.store import (
    CollectionWriter,
    IndexBuilder,
    PassingVectors,
    Segment,
    Snapshot,
    plan_merges,
    require_collection,
)


def index_if_large(vectors: PassingVectors, path: Path) -> Mapping[str, Any] | None:
    """An `IndexBuilder`: an index for so many vectors that it is of use, and none for fewer."""
    if len(vectors) < WORTH_AN_INDEX:
        return None
    return asdict(build_index(vectors, path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a collection is made of; `indexed_rows` are found through an approximate index, the others exactly."""

    segments: int
    rows: int
    dead_rows: int
    indexed_rows: int
    bytes: int

    @classmethod
    def of(cls, snapshot: Snapshot) -> Size:
        records = snapshot.manifest.segments
        files = [file for record in records for file in record.files]
        files += [record.index.file for record in records if record.index]
        return cls(
            segments=len(records),
            rows=snapshot.manifest.live_rows,
            dead_rows=sum(record.deleted_rows for record in records),
            indexed_rows=sum(record.live_rows for record in records if record.index),
            bytes=sum(file.bytes for file in files),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeReport:
    collection: str
    before: Size
    after: Size

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def optimize_collection(home: Path, name: str, *, on_rows: Callable[[int, int], None] | None = None) -> OptimizeReport:
    """Merges all that can be merged, drops every dead row, and indexes what is large.

    `on_rows(done, total)` is told how many of the rows to be written or indexed have been. Raises CollectionNotFound,
    CollectionLocked, CorruptCollection or StorageUnwritable.
    """
    layout = require_collection(home, name).layout
    with CollectionWriter(layout) as writer:
        return optimize(writer, thorough=True, on_rows=on_rows)


def optimize(
    writer: CollectionWriter,
    *,
    thorough: bool,
    build_index: IndexBuilder = index_if_large,
    on_rows: Callable[[int, int], None] | None = None,
) -> OptimizeReport:
    """Merges what `plan_merges` finds worth merging, and gives segments the indexes they lack, by word and by path too.

    Raises CorruptCollection or StorageUnwritable; what was committed before that stays.
    """
    assert writer.snapshot is not None
    before = Size.of(writer.snapshot)
    groups = plan_merges(writer.snapshot.manifest.segments, thorough=thorough)
    grouped = {record.id for group in groups for record in group}
    others = [
        segment.record
        for segment in writer.snapshot.segments
        if segment.id not in grouped and segment.record.rows >= WORTH_AN_INDEX and _lacks_index(segment)
    ]
    total = sum(record.live_rows for record in others) + sum(record.live_rows for group in groups for record in group)
    done = 0
    for group in groups:
        _merge(writer, {record.id for record in group}, build_index)
        done += sum(record.live_rows for record in group)
        if on_rows is not None:
            on_rows(done, total)
    for record in others:
        writer.add_index(record.id, build_index)
        done += record.live_rows
        if on_rows is not None:
            on_rows(done, total)
    writer.add_path_tables()
    bring_up_to_date(writer.snapshot)
    return OptimizeReport(collection=writer.layout.name, before=before, after=Size.of(writer.snapshot))


def _merge(writer: CollectionWriter, segment_ids: Set[str], build_index: IndexBuilder) -> None:
    assert writer.snapshot is not None
    before = writer.snapshot.segments
    known = {segment.id for segment in before}
    sources = [segment for segment in before if segment.id in segment_ids]
    for merged in writer.merge(segment_ids, build_index).segments:
        if merged.id not in known:
            carry_over(writer.layout, sources, merged)


def _lacks_index(segment: Segment) -> bool:
    try:
        return segment.index_file is None
    except CorruptCollection:
        return True
