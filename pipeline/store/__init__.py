"""Stage 4: Vectors <-> Arrow segments, with an atomic manifest, one writer and many readers."""

from pipeline.store.layout import Layout
from pipeline.store.segment import DocumentRow, Segment, SegmentBuilder, StoredDocument
from pipeline.store.snapshot import Snapshot, collection_names, require_collection
from pipeline.store.writer import CollectionWriter

__all__ = [
    "CollectionWriter",
    "DocumentRow",
    "Layout",
    "Segment",
    "SegmentBuilder",
    "Snapshot",
    "StoredDocument",
    "collection_names",
    "require_collection",
]
