"""Several segments become one: their live documents in order, without dead rows, in bounded memory.

In: committed segments. Out: a new segment's folder in its place, and its `SegmentRecord`. What is worth merging is
decided by `plan_merges`, which does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import CorruptCollection
from pipeline.store.builder import segment_in_place
from pipeline.store.files import FileRecord, map_table, write_matrix, write_table, write_tables
from pipeline.store.hashes import hash_table
from pipeline.store.layout import DOCUMENTS, HASHES, PASSAGES, PATHS, VECTORS, Layout
from pipeline.store.manifest import SegmentRecord
from pipeline.store.paths import STORED, path_table
from pipeline.store.segment import ROWS_PER_BATCH, Segment

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST_MERGE = 262_144
"""Rows of a merged segment at most, 800 MB of vectors of 768 numbers: so much space is needed beside at one time."""

SMALL = 32_768
MANY = 8
"""`index` merges segments smaller than this by itself, once there are so many of them."""

COPIED_AT_ONCE = 4 * 2**20
GATHERED = 64
"""Bytes of vectors, and batches of passages, that are held in memory."""


def plan_merges(records: Sequence[SegmentRecord], *, thorough: bool) -> list[list[SegmentRecord]]:
    """Groups of segments to be merged, in the order in which they stand.

    `thorough` rids every segment of its dead rows and leaves none that could be joined with its neighbour; otherwise
    small segments are merged once there are many of them, which keeps the cost of a run from growing with the
    collection.
    """
    if thorough:
        chosen = [item for item in records if _has_dead(item) or item.live_rows < LARGEST_MERGE // 2]
    else:
        chosen = [item for item in records if item.live_rows < SMALL]
        if len(chosen) < MANY:
            return []
    groups: list[list[SegmentRecord]] = []
    rows = 0
    for record in chosen:
        if not groups or rows + record.live_rows > LARGEST_MERGE:
            groups.append([])
            rows = 0
        groups[-1].append(record)
        rows += record.live_rows
    return [group for group in groups if len(group) > 1 or _has_dead(group[0])]


def _has_dead(record: SegmentRecord) -> bool:
    return record.deleted is not None


def merge_segments(layout: Layout, segments: Sequence[Segment], dimension: int, segment_id: str) -> SegmentRecord:
    """Writes the live documents of `segments` as one segment, whole and flushed. No manifest names it yet.

    Raises CorruptCollection or StorageUnwritable.
    """
    rows = sum(segment.record.live_rows for segment in segments)
    documents = sum(len(segment.live_documents) for segment in segments)
    with segment_in_place(layout, segment_id) as folder:
        files = (
            write_matrix(folder / VECTORS, "vector", _live_vector_bytes(segments, dimension), shape=(rows, dimension)),
            _write_gathered(folder, PASSAGES, segments, _live_passages(segments)),
            _write_gathered(folder, DOCUMENTS, segments, _live_documents(segments)),
            write_table(folder / HASHES, hash_table(_live_hashes(segments))),
            write_table(folder / PATHS, path_table(map_table(folder / DOCUMENTS, STORED))),
        )
    return SegmentRecord(id=segment_id, rows=rows, documents=documents, files=files)


def _live_vector_bytes(segments: Sequence[Segment], dimension: int) -> Iterator[memoryview]:
    """The vectors' bytes, read rather than mapped: pages of a map would count as memory of this process."""
    rows = max(1, COPIED_AT_ONCE // (4 * dimension))
    for segment in segments:
        for first, last in _runs(segment):
            for start in range(first, last, rows):
                yield segment.passing_vectors[start : min(start + rows, last)].data.cast("B")


def _runs(segment: Segment) -> Iterator[tuple[int, int]]:
    """Live rows as ranges [first, last)."""
    first = 0
    for dead in segment.deleted.rows.tolist():
        if dead > first:
            yield first, dead
        first = dead + 1
    if first < segment.record.rows:
        yield first, segment.record.rows


def _live_passages(segments: Sequence[Segment]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    for segment in segments:
        row = 0
        for batch in segment.passage_batches():
            mask = segment.live_mask[row : row + batch.num_rows]
            row += batch.num_rows
            yield batch if mask.all() else batch.filter(pa.array(mask))


def _live_documents(segments: Sequence[Segment]) -> Iterator[pa.RecordBatch]:
    """The documents with the places that their rows have after the merge."""
    import numpy as np  # noqa: PLC0415 - heavy
    import pyarrow as pa  # noqa: PLC0415 - heavy

    first_row = 0
    for segment in segments:
        alive = np.zeros(segment.record.documents, dtype=np.bool_)
        alive[segment.live_documents] = True
        position, expected = 0, first_row + segment.record.live_rows
        for batch in segment.document_batches():
            kept = batch.filter(pa.array(alive[position : position + batch.num_rows]))
            position += batch.num_rows
            ends = first_row + np.cumsum(kept.column("rows").to_numpy(zero_copy_only=False))
            starts = np.concatenate([[first_row], ends[:-1]]) if len(ends) else ends
            first_row = int(ends[-1]) if len(ends) else first_row
            at = kept.schema.get_field_index("first_row")
            yield kept.set_column(at, kept.schema.field(at), pa.array(starts, pa.int64()))
        if first_row != expected:
            raise CorruptCollection(
                f"the documents of segment {segment.id} do not account for its rows",
                hint="restore the collection from a backup, or index the documents into a new one",
            )


def _live_hashes(segments: Sequence[Segment]) -> Iterator[bytes]:
    """The content hashes of the live rows in order, those of a batch at a time."""
    for segment in segments:
        row = 0
        for hashes in segment.hash_batches():
            yield hashes[segment.live_mask[row : row + len(hashes)]].tobytes()
            row += len(hashes)


def _write_gathered(
    folder: Path, name: str, segments: Sequence[Segment], batches: Iterable[pa.RecordBatch]
) -> FileRecord:
    """Columns that a segment lacks are null in what was its part."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    schema = pa.unify_schemas([segment.schema(name) for segment in segments])
    return write_tables(folder / name, schema, _gathered(schema, batches), rows_per_batch=ROWS_PER_BATCH)


def _gathered(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of whole numbers of stored batches, but for the last."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    held: list[pa.Table] = [schema.empty_table()]
    rows = 0
    for batch in batches:
        held.append(pa.Table.from_batches([batch]))
        rows += batch.num_rows
        if rows >= GATHERED * ROWS_PER_BATCH:
            table = _joined(held)
            whole = rows - rows % ROWS_PER_BATCH
            yield table.slice(0, whole)
            held, rows = [schema.empty_table(), table.slice(whole)], rows - whole
    yield _joined(held)


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """One chunk a column: Arrow ends a batch where a chunk ends."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    return pa.concat_tables(tables, promote_options="default").combine_chunks()
