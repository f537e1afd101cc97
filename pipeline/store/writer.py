"""The one writer of a collection: each `commit` adds a segment, retires documents and switches the manifest.

In: finished documents with vectors, documents to retire, newer file times. Out: the next `Snapshot`. Until the
manifest is in place nothing has changed; afterwards everything has.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

from pipeline.embed.identity import ModelIdentity
from pipeline.errors import CollectionNotFound
from pipeline.store.files import FileRecord, make_folder, sync_folder, write_table, writing
from pipeline.store.layout import Layout
from pipeline.store.lock import WriterLock
from pipeline.store.manifest import Manifest, read_manifest, write_manifest
from pipeline.store.segment import DeletedRows, SegmentBuilder, StoredDocument
from pipeline.store.snapshot import Snapshot
from pipeline.version import VERSION


class CollectionWriter:
    """Holds the collection's lock from construction to `close`; use it in a `with` block.

    Raises CollectionLocked, StorageUnwritable or CorruptCollection.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        make_folder(layout.segments)
        self._lock = WriterLock(layout.lock)
        try:
            self.snapshot = self._open()
            self._remove_leftovers()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.snapshot is None:
            shutil.rmtree(self.layout.root, ignore_errors=True)
        self._lock.release()

    def create(self, model: ModelIdentity, chunker: dict[str, Any]) -> Snapshot:
        """Commits an empty collection for `model`."""
        now = _now()
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

        `touched` gives newer (size, mtime_ns) by path for documents whose content has not changed.
        """
        if self.snapshot is None:
            raise CollectionNotFound(f"collection {self.layout.name!r} has not been created")
        old = self.snapshot.manifest
        generation = old.generation + 1
        segments = list(old.segments)
        for segment_id, dead in _by_segment(retired).items():
            position = next(index for index, record in enumerate(segments) if record.id == segment_id)
            segment = self.snapshot.segments[position]
            rows = sorted({*segment.deleted.rows, *(row for item in dead for row in _rows(item))})
            ids = {item.row.document_id for item in dead}
            documents = {index for index, item in enumerate(segment.documents) if item.row.document_id in ids}
            deleted = DeletedRows(rows=rows, documents=sorted({*segment.deleted.documents, *documents}))
            record = deleted.write(self.layout.deleted(segment_id, generation))
            segments[position] = replace(segments[position], deleted=record, deleted_rows=len(rows))
        if builder.documents:
            segments.append(builder.write(self.layout, f"{generation:08d}"))
        return self._switch(
            replace(
                old,
                generation=generation,
                segments=tuple(segments),
                touched=self._write_touched(touched, generation) if touched else old.touched,
                updated=_now(),
                written_by=f"pipeline {VERSION}",
            )
        )

    def _switch(self, manifest: Manifest) -> Snapshot:
        write_manifest(self.layout, manifest)
        self.snapshot = Snapshot.at(self.layout, manifest)
        return self.snapshot

    def _open(self) -> Snapshot | None:
        try:
            return Snapshot.at(self.layout, read_manifest(self.layout))
        except CollectionNotFound:
            return None

    def _remove_leftovers(self) -> None:
        """Segments that a killed writer left: no manifest has ever named them."""
        named = {record.id for record in self.snapshot.manifest.segments} if self.snapshot else set[str]()
        for folder in self.layout.segments.iterdir():
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)

    def _write_touched(self, touched: Mapping[str, tuple[int, int]], generation: int) -> FileRecord:
        import pyarrow as pa  # noqa: PLC0415 - heavy

        assert self.snapshot is not None
        merged = {**self.snapshot.touched, **touched}
        path = self.layout.touched(generation)
        record = write_table(
            path,
            pa.table(
                {
                    "path": pa.array(list(merged), pa.string()),
                    "size": pa.array([size for size, _ in merged.values()], pa.int64()),
                    "mtime_ns": pa.array([mtime_ns for _, mtime_ns in merged.values()], pa.int64()),
                }
            ),
            compressed=True,
        )
        with writing(path):
            sync_folder(path.parent)
        return record


def _by_segment(documents: Iterable[StoredDocument]) -> dict[str, list[StoredDocument]]:
    grouped: defaultdict[str, list[StoredDocument]] = defaultdict(list)
    for document in documents:
        grouped[document.segment].append(document)
    return grouped


def _rows(document: StoredDocument) -> range:
    return range(document.first_row, document.first_row + document.rows)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
