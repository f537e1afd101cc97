"""Stage 4: Vectors <-> Arrow segments, with an atomic manifest, one writer and many readers."""

from pipeline.store.builder import SegmentBuilder
from pipeline.store.known import KnownDocument, KnownDocuments
from pipeline.store.layout import Layout
from pipeline.store.manifest import read_manifest
from pipeline.store.merge import plan_merges
from pipeline.store.passing import PassingVectors
from pipeline.store.paths import Span, span_of, spans_below
from pipeline.store.reading import StoredPassage, Stretch, find_document, read_stretch
from pipeline.store.remove import remove_collection, require_folder
from pipeline.store.segment import DocumentRow, Segment, StoredDocument
from pipeline.store.snapshot import Snapshot, collection_names, require_collection
from pipeline.store.verify import Problem, Verification, verify_collection
from pipeline.store.writer import CollectionWriter, IndexBuilder

__all__ = [
    "CollectionWriter",
    "DocumentRow",
    "IndexBuilder",
    "KnownDocument",
    "KnownDocuments",
    "Layout",
    "PassingVectors",
    "Problem",
    "Segment",
    "SegmentBuilder",
    "Snapshot",
    "Span",
    "StoredDocument",
    "StoredPassage",
    "Stretch",
    "Verification",
    "collection_names",
    "find_document",
    "plan_merges",
    "read_manifest",
    "read_stretch",
    "remove_collection",
    "require_collection",
    "require_folder",
    "span_of",
    "spans_below",
    "verify_collection",
]
