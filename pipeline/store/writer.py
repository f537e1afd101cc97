"""The one writer of a collection: each `commit` adds a segment, retires documents and switches the manifest.

In: finished documents with vectors, documents to retire, newer file times. Out: the next `Snapshot`. Until the
manifest is in place nothing has changed; afterwards everything has.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pipeline.embed.identity import ModelIdentity
from pipeline.errors import CollectionNotFound, PipelineError
from pipeline.store.builder import SegmentBuilder, segment_in_place
from pipeline.store.files import FileRecord, flushed, link_file, make_folder, sync_folder, write_table, writing
from pipeline.store.layout import DERIVED, PATHS, Layout
from pipeline.store.lock import WriterLock
from pipeline.store.manifest import (
    IndexRecord,
    Manifest,
    SegmentRecord,
    kept_manifests,
    read_manifest,
    remove_unread_manifests,
    write_manifest,
)
from pipeline.store.merge import merge_segments
from pipeline.store.passing import PassingVectors
from pipeline.store.remove import remove_content
from pipeline.store.segment import DeletedRows, Segment, StoredDocument
from pipeline.store.snapshot import Snapshot
from pipeline.version import VERSION

logger = logging.getLogger(__name__)

IndexBuilder = Callable[[PassingVectors, Path], Mapping[str, Any] | None]
"""Writes an index of vectors to a path, and tells what a search has to know of it; None where it would be of no use."""


class CollectionWriter:
    """Holds the collection's lock from construction to `close`; use it in a `with` block.

    Raises CollectionLocked, StorageUnwritable or CorruptCollection.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        make_folder(layout.segments)
        self._lock = WriterLock(layout.lock)
        self.snapshot: Snapshot | None = None
        try:
            self.snapshot = self._open()
            self._make_damaged_again()
            self._remove_leftovers()
            self._remove_finished_staging()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        try:
            if not self.layout.generations():
                shutil.rmtree(self.layout.root, ignore_errors=True)
            elif self.snapshot is not None:
                self.snapshot.verified.settle()
                self.snapshot.verified.forget_missing()
                self._remove_leftovers()
        finally:
            self._lock.release()

    def create(self, model: ModelIdentity, chunker: dict[str, Any]) -> Snapshot:
        """Commits an empty collection for `model`. Raises StorageUnwritable."""
        now = _now()
        with self._going_back_on_failure():
            return self._switch(
                Manifest(
                    generation=1,
                    model=model,
                    chunker=chunker,
                    created=now,
                    updated=now,
                    written_by=f"pipeline {VERSION}",
                )
            )

    def commit(
        self,
        builder: SegmentBuilder,
        *,
        retired: Iterable[StoredDocument] = (),
        touched: Mapping[str, tuple[int, int]] | None = None,
    ) -> Snapshot:
        """Makes what `builder` holds part of the collection and `retired` no longer so, in one step.

        `touched` gives newer (size, mtime_ns) by path for documents whose content has not changed. Raises
        StorageUnwritable, and leaves the collection as it was.
        """
        if self.snapshot is None:
            raise CollectionNotFound(f"collection {self.layout.name!r} has not been created")
        old = self.snapshot.manifest
        generation = old.generation + 1
        retired = list(retired)
        with self._going_back_on_failure():
            segments = self._with_dead(retired, generation)
            if builder.documents:
                segments.append(self._written(builder.write(self.layout, generation)))
            # What is newly written or gone has no newer time than its row says.
            settled = {document.row.path for document in retired} | builder.live_paths
            return self._switch(
                replace(
                    old,
                    generation=generation,
                    segments=tuple(segments),
                    touched=self._write_touched(touched or {}, settled, generation),
                    updated=_now(),
                    written_by=f"pipeline {VERSION}",
                )
            )

    def merge(self, segment_ids: Collection[str], build_index: IndexBuilder | None = None) -> Snapshot:
        """Puts one segment with the live documents of several in their place, in one step.

        With `build_index` it gets an index where the builder makes one. Raises CorruptCollection or StorageUnwritable,
        and leaves the collection as it was.
        """
        assert self.snapshot is not None
        old = self.snapshot.manifest
        generation = old.generation + 1
        merged = [segment for segment in self.snapshot.segments if segment.id in segment_ids]
        with self._going_back_on_failure():
            record: SegmentRecord | None = None
            if any(len(segment.live_documents) for segment in merged):
                segment_id = self.layout.segment_id(generation)
                record = self._written(merge_segments(self.layout, merged, old.model.dimension, segment_id))
                if build_index is not None:
                    record = self._indexed(record, build_index, generation)
            segments = [item for item in old.segments if item.id not in segment_ids]
            if record is not None:
                place = next(at for at, item in enumerate(old.segments) if item.id in segment_ids)
                segments.insert(place, record)
            snapshot = self._switch(replace(old, generation=generation, segments=tuple(segments), updated=_now()))
        self._remove_leftovers()
        return snapshot

    def add_index(self, segment_id: str, build_index: IndexBuilder) -> Snapshot:
        """Gives a segment an index where the builder makes one. Raises CorruptCollection or StorageUnwritable."""
        assert self.snapshot is not None
        old = self.snapshot.manifest
        generation = old.generation + 1
        with self._going_back_on_failure():
            return self._recorded(
                self._indexed(item, build_index, generation) if item.id == segment_id else item for item in old.segments
            )

    def add_path_tables(self) -> Snapshot:
        """Gives the segments of older formats the path tables that they lack.

        Raises CorruptCollection or StorageUnwritable.
        """
        assert self.snapshot is not None
        with self._going_back_on_failure():
            return self._recorded(map(self._with_path_table, self.snapshot.segments))

    def _with_path_table(self, segment: Segment) -> SegmentRecord:
        if segment.has_path_table:
            return segment.record
        return replace(segment.record, files=(*segment.record.files, self._made_again(segment, PATHS)))

    def _make_damaged_again(self) -> None:
        """Makes the files again that follow from others and are not what was committed, so that nothing is lost by it.

        As a rule they are the same to the byte; where another release of Arrow writes them otherwise, it is a commit.
        """
        if self.snapshot is not None:
            self._recorded(map(self._with_sound_files, self.snapshot.segments))

    def _with_sound_files(self, segment: Segment) -> SegmentRecord:
        made: dict[str, FileRecord] = {}
        for file in segment.record.files:
            if file.name in DERIVED and not segment.is_sound(file.name):
                path = self.layout.segment(segment.id) / file.name
                logger.warning("%s is not the file that was committed: made again from what it follows from", path)
                made[file.name] = self._made_again(segment, file.name)
        return replace(segment.record, files=tuple(made.get(file.name, file) for file in segment.record.files))

    def _made_again(self, segment: Segment, name: str) -> FileRecord:
        """One of the files that follow from others, in its place."""
        assert self.snapshot is not None
        folder = self.layout.segment(segment.id)
        temporary = folder / f".{name}.tmp"
        file = replace(write_table(temporary, segment.made_again(name)), name=name)
        with writing(folder / name):
            temporary.replace(folder / name)
            sync_folder(folder)
        self.snapshot.verified.written(folder, [file])
        return file

    def adopt(self, staged: Snapshot) -> Snapshot:
        """Puts the content of another collection, with its model, in the place of this one's, in one step.

        Its files are linked, or copied where the file system has no links: they stay where they are too. Raises
        CorruptCollection or StorageUnwritable, and leaves the collection as it was.
        """
        assert self.snapshot is not None
        generation = self.snapshot.manifest.generation + 1
        with self._going_back_on_failure():
            segments = tuple(
                self._linked(staged.layout, item, generation, number)
                for number, item in enumerate(staged.manifest.segments, start=1)
            )
            snapshot = self._switch(
                replace(
                    self.snapshot.manifest,
                    generation=generation,
                    model=staged.manifest.model,
                    segments=segments,
                    touched=None,
                    updated=_now(),
                    written_by=f"pipeline {VERSION}",
                )
            )
        self._remove_leftovers()
        return snapshot

    def _linked(self, source: Layout, record: SegmentRecord, generation: int, number: int) -> SegmentRecord:
        """A segment of another collection, in this one. Files that belong to a generation get this one's."""
        segment_id = self.layout.segment_id(generation, number)
        deleted = record.deleted and replace(record.deleted, name=self.layout.deleted(segment_id, generation).name)
        with segment_in_place(self.layout, segment_id) as folder:
            for file in record.files:
                link_file(source.segment(record.id) / file.name, folder / file.name)
            if record.deleted and deleted:
                link_file(source.segment(record.id) / record.deleted.name, folder / deleted.name)
        return replace(record, id=segment_id, deleted=deleted, index=None)

    def clear(self) -> None:
        """Removes everything; the lock is held until `close`, and a new collection may be created meanwhile.

        Raises StorageUnwritable.
        """
        with writing(self.layout.root):
            remove_content(self.layout)
        self.snapshot = None
        make_folder(self.layout.segments)

    def _indexed(self, record: SegmentRecord, build_index: IndexBuilder, generation: int) -> SegmentRecord:
        assert self.snapshot is not None
        model, verified = self.snapshot.manifest.model, self.snapshot.verified
        segment = Segment(self.layout, record, model=model.name, dimension=model.dimension, verified=verified)
        path = self.layout.index(record.id, generation)
        with writing(path):
            facts = build_index(segment.passing_vectors, path)
        if facts is None:
            return record
        file = flushed(path)
        with writing(path):
            sync_folder(path.parent)
        verified.written(path.parent, [file])
        return replace(record, index=IndexRecord(file=file, facts=dict(facts)))

    def _written(self, record: SegmentRecord) -> SegmentRecord:
        assert self.snapshot is not None
        others = [record.deleted] if record.deleted else []
        self.snapshot.verified.written(self.layout.segment(record.id), [*record.files, *others])
        return record

    def _with_dead(self, retired: Iterable[StoredDocument], generation: int) -> list[SegmentRecord]:
        """The segments' records, once the lists of dead rows of those that change have been written."""
        assert self.snapshot is not None
        gone = _by_segment(retired)
        records: list[SegmentRecord] = []
        for segment in self.snapshot.segments:
            record = segment.record
            if segment.id in gone:
                dead = segment.deleted.joined(gone[segment.id])
                file = dead.write(self.layout.deleted(segment.id, generation))
                record = replace(record, deleted=file, deleted_rows=len(dead.rows))
            records.append(record)
        return records

    def _write_touched(
        self, touched: Mapping[str, tuple[int, int]], settled: set[str], generation: int
    ) -> FileRecord | None:
        """The newer file times after a commit: without those of `settled` paths, and with those of `touched`."""
        import pyarrow as pa  # noqa: PLC0415 - heavy

        assert self.snapshot is not None
        added = {path: times for path, times in touched.items() if path not in settled}
        table = pa.table(
            {
                "path": pa.array(list(added), pa.string()),
                "size": pa.array([size for size, _ in added.values()], pa.int64()),
                "mtime_ns": pa.array([mtime_ns for _, mtime_ns in added.values()], pa.int64()),
            }
        )
        if (old := self.snapshot.touched) is not None:
            import pyarrow.compute as pc  # noqa: PLC0415 - heavy

            replaced = pa.array([*settled, *added], pa.string())
            kept = old.filter(~pc.field("path").isin(replaced))
            if not added and kept.num_rows == old.num_rows:
                return self.snapshot.manifest.touched
            table = pa.concat_tables([kept, table])
        if not table.num_rows:
            return None
        path = self.layout.touched(generation)
        record = write_table(path, table)
        with writing(path):
            sync_folder(path.parent)
        return record

    def _recorded(self, segments: Iterable[SegmentRecord]) -> Snapshot:
        """The collection with the same segments, whose records may be others: a commit where they are."""
        assert self.snapshot is not None
        old, changed = self.snapshot.manifest, tuple(segments)
        if changed == old.segments:
            return self.snapshot
        return self._switch(replace(old, generation=old.generation + 1, segments=changed, updated=_now()))

    def _switch(self, manifest: Manifest) -> Snapshot:
        write_manifest(self.layout, manifest)
        self.snapshot = Snapshot.at(self.layout, manifest, self.snapshot)
        return self.snapshot

    def _open(self) -> Snapshot | None:
        try:
            return Snapshot.at(self.layout, read_manifest(self.layout), self.snapshot)
        except CollectionNotFound:
            return None

    def _remove_finished_staging(self) -> None:
        """What a move to another model staged, if it was killed after its last commit: it is all in here now."""
        with contextlib.suppress(PipelineError):
            if self.snapshot and read_manifest(self.layout.staging).model == self.snapshot.manifest.model:
                shutil.rmtree(self.layout.staging.root, ignore_errors=True)

    @contextlib.contextmanager
    def _going_back_on_failure(self) -> Generator[None]:
        """After a failure the writer stands where the disk does, whatever of the commit has come that far."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(PipelineError):
                self.snapshot = self._open()
                self._remove_leftovers()
            raise

    def _remove_leftovers(self) -> None:
        """What no manifest names: left by a commit that failed or a writer that was killed, or superseded."""
        remove_unread_manifests(self.layout)
        kept = kept_manifests(self.layout) + ([self.snapshot.manifest] if self.snapshot else [])
        named = {path for manifest in kept for path in manifest.names(self.layout)}
        for path in self.layout.removable():
            if path in named:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                # A leftover does no harm: not being able to remove it is no reason to fail.
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def _by_segment(documents: Iterable[StoredDocument]) -> dict[str, DeletedRows]:
    grouped: defaultdict[str, list[StoredDocument]] = defaultdict(list)
    for document in documents:
        grouped[document.segment].append(document)
    return {
        segment: DeletedRows.of(
            [row for item in dead for row in range(item.first_row, item.first_row + item.rows)],
            [item.position for item in dead],
        )
        for segment, dead in grouped.items()
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
