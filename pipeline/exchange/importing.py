"""Takes vectors that somebody already has into a collection: passages with their vectors from a file.

In: a file, the model that made its vectors. Out: an `ImportReport`, and the collection committed step by step. The
file is read twice: all of it is checked before anything is stored, so that a bad row leaves nothing half done. A second
run over the same file finds what an earlier one has stored and goes on from there.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.chunk import DEFAULT_CHUNK_TOKENS, ChunkSettings, token_counter
from pipeline.embed import SPECIAL_TOKENS, ModelIdentity, known_model
from pipeline.embed.known import split_tag
from pipeline.errors import DimensionMismatch, ModelMismatch, ReadError, UsageError
from pipeline.exchange.formats import Columns
from pipeline.exchange.passages import ImportedDocument, documents_of, file_uri
from pipeline.exchange.sources import Source, bad_row, open_source
from pipeline.ingest.pending import COMMIT_ROWS, COMMIT_SECONDS
from pipeline.store import (
    CollectionWriter,
    KnownDocument,
    KnownDocuments,
    Layout,
    SegmentBuilder,
    Span,
    StoredDocument,
    span_of,
)

USUAL_CONTEXT = 512
"""Tokens, of a model that is not known: the least that embedding models of today take, bar all-minilm (known)."""


@dataclass(slots=True, kw_only=True)
class ImportCounts:
    """Documents by what became of them; `removed` counts parts of an earlier, longer state of the same file."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """What an import did.

    `passages` counts those stored now, `normalised` the vectors of the file that had another length than 1, `total`
    the passages in the collection; `ignored` names columns that mean nothing to a collection.
    """

    collection: str
    model: str = ""
    dimension: int = 0
    documents: ImportCounts = field(default_factory=ImportCounts)
    passages: int = 0
    normalised: int = 0
    total: int = 0
    ignored: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class ImportProgress:
    """What a caller may watch; every method does nothing here."""

    def started(self, rows: int | None) -> None:
        """The file has so many rows; None: not known before it has been read."""

    def checked(self, rows: int) -> None:
        """So many more rows have been read and found good."""

    def stored(self, rows: int) -> None:
        """So many more rows are in the collection, or were there."""


def import_vectors(
    layout: Layout,
    path: Path,
    *,
    model: str | None = None,
    format: str | None = None,
    columns: Columns | None = None,
    progress: ImportProgress | None = None,
    report: ImportReport | None = None,
) -> ImportReport:
    """Stores the passages of the file `path` with their vectors; the collection is made if there is none.

    A document of the collection with the same path is replaced. `model` may be left out where the file states it.
    `report` may be given to see how far an import came that ends with an error.

    Raises:
        UsageError: no model is named, or a column is not in the file.
        ReadError, BadVector, DimensionMismatch: the file, or a row of it, which is named; nothing is imported.
        ModelMismatch: the file, or the collection, has another model.
        StorageError: the collection is locked, damaged, or cannot be written.
    """
    began = time.perf_counter()
    report = report or ImportReport(collection=layout.name)
    progress = progress or ImportProgress()
    source = open_source(path, columns or Columns(), format)
    identity = _identity(source, model)
    with CollectionWriter(layout) as writer:
        if writer.snapshot is not None:
            writer.snapshot.require_model(identity.name)
            writer.snapshot.require_identity(identity)
        report.model, report.dimension = identity.name, identity.dimension
        span = _check(source, report, progress)
        if writer.snapshot is None:
            writer.create(identity, source.facts.chunker if source.facts else _usual_chunker(identity))
        try:
            _Run(writer, source, span, progress, report).execute()
        finally:
            report.total = writer.snapshot.manifest.live_rows if writer.snapshot else 0
            report.seconds = round(time.perf_counter() - began, 3)
    return report


class _Run:
    def __init__(
        self, writer: CollectionWriter, source: Source, span: Span, progress: ImportProgress, report: ImportReport
    ) -> None:
        self.writer = writer
        self.source = source
        self.progress = progress
        self.report = report
        self.known = KnownDocuments(writer.snapshot, [span, span_of(_part_prefix(source).encode())])
        self.builder = SegmentBuilder(source.dimension)
        self.retired: list[StoredDocument] = []
        self.counts = ImportCounts()
        self.last_commit = time.monotonic()

    def execute(self) -> None:
        for document in documents_of(self.source):
            self._store(document)
            self._commit_if_due()
            self.progress.stored(len(document.chunks))
        if self.source.columns.path_in(self.source.names) is None:
            for stored in self._later_parts():
                self.retired.append(stored)
                self.counts.removed += 1
                self._commit_if_due()
        self._commit()

    def _store(self, document: ImportedDocument) -> None:
        known = self.known.see(document.row.path)
        if known is not None:
            stored = known.load()
            if _is_stored(document, known, stored):
                self.report.documents.unchanged += 1
                return
            self.retired.append(stored)
            self.counts.updated += 1
        else:
            self.counts.added += 1
        self.builder.add(document.row, document.chunks, list(document.vectors))

    def _later_parts(self) -> Iterator[StoredDocument]:
        """Parts of the file as it was before, which it no longer reaches."""
        prefix = _part_prefix(self.source)
        for path, known in self.known.unseen():
            if path.startswith(prefix):
                yield known.load()

    def _commit_if_due(self) -> None:
        held = self.builder.rows + len(self.builder.documents) + len(self.retired)
        if held >= COMMIT_ROWS or time.monotonic() - self.last_commit > COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        self.last_commit = time.monotonic()
        if not self.builder.documents and not self.retired:
            return
        rows = self.builder.rows
        self.writer.commit(self.builder, retired=self.retired)
        self.builder, self.retired = SegmentBuilder(self.source.dimension), []
        self.report.passages += rows
        self.report.documents.added += self.counts.added
        self.report.documents.updated += self.counts.updated
        self.report.documents.removed += self.counts.removed
        self.counts = ImportCounts()


def _part_prefix(source: Source) -> str:
    """How the paths of the parts of a file begin that names no paths."""
    return file_uri(source.path) + "#"


def _is_stored(document: ImportedDocument, known: KnownDocument, stored: StoredDocument) -> bool:
    """Whether the collection has this very document: its description, passages and vectors."""
    import numpy as np  # noqa: PLC0415 - heavy

    row = replace(stored.row, size=known.size, mtime_ns=known.mtime_ns)
    if row != document.row or stored.rows != len(document.chunks):
        return False
    rows = range(stored.first_row, stored.first_row + stored.rows)
    if not np.array_equal(known.segment.vectors[rows.start : rows.stop], document.vectors):
        return False
    passages = known.segment.passages(rows)
    return all(
        tuple(passage["heading_path"]) == chunk.heading_path
        and all(passage[name] == getattr(chunk, name) for name in passage if name not in ("heading_path", "path"))
        for passage, chunk in zip(passages, document.chunks, strict=True)
    )


def _check(source: Source, report: ImportReport, progress: ImportProgress) -> Span:
    """Reads the whole file and stores nothing; between which paths its documents are. Raises what is wrong with it."""
    progress.started(source.count)
    # No byte of UTF-8 is as large as the first.
    least, most = b"\xff", b""
    starts, keys = array("Q"), bytearray()
    count = 0
    for document in documents_of(source):
        starts.append(document.first)
        path = document.row.path.encode()
        least, most = min(least, path), max(most, path)
        keys += hashlib.blake2b(path, digest_size=16).digest()
        count += len(document.chunks)
        report.normalised += document.normalised
        progress.checked(len(document.chunks))
    if source.facts is not None and count != source.facts.rows:
        raise ReadError(
            f"{source.path} has {count} rows and says that it has {source.facts.rows}",
            path=source.path,
            hint="it was cut or added to after it had been written: export it again",
        )
    _require_together(source, starts, bytes(keys))
    read = source.columns.read(source.names, with_facts=source.facts is not None)
    report.ignored = sorted(source.names - set(read) - {source.columns.vector})
    return least, most + b"\0"


def _require_together(source: Source, starts: array[int], keys: bytes) -> None:
    """Raises ReadError if the rows of one path do not stand together. Sixteen bytes a document decide it."""
    import numpy as np  # noqa: PLC0415 - heavy

    halves = np.frombuffer(keys, "<u8").reshape(-1, 2)
    order = np.lexsort((np.arange(len(halves)), halves[:, 1], halves[:, 0]))
    ordered = halves[order]
    again = order[1:][(ordered[1:] == ordered[:-1]).all(axis=1)]
    if len(again):
        row = starts[int(again.min())]
        raise bad_row(
            source.path, row, "has the path of earlier rows that it does not follow: sort the file by path and import"
        )


def _identity(source: Source, model: str | None) -> ModelIdentity:
    """Whose vectors the file holds: what it states, or what is known of the model that the user names."""
    stated = source.facts.model if source.facts else None
    name = model or (stated.name if stated else None)
    if name is None:
        raise UsageError(
            f"{source.path} does not say which model made its vectors", hint="name it with --model, as the server does"
        )
    if stated is not None and split_tag(stated.name) != split_tag(name):
        raise ModelMismatch(
            f"the vectors of {source.path} are of model {stated.name!r}, not {name!r}", hint="leave out --model"
        )
    known = known_model(name)
    expected = stated.dimension if stated else known.dimension(split_tag(name)[1]) if known else None
    if expected is not None and expected != source.dimension:
        raise DimensionMismatch(
            model=name,
            expected=expected,
            actual=source.dimension,
            where=str(source.path),
            hint="name the model that made the vectors with --model",
        )
    if stated is not None:
        return stated
    return ModelIdentity(
        name=name,
        digest="",
        dimension=source.dimension,
        context=known.context if known else USUAL_CONTEXT,
        query_prefix=known.query_prefix if known else "",
        document_prefix=known.document_prefix if known else "",
    )


def _usual_chunker(identity: ModelIdentity) -> dict[str, Any]:
    """How documents will be cut that are indexed into the collection later."""
    prefix = identity.document_prefix
    settings = ChunkSettings(
        max_tokens=min(identity.context - SPECIAL_TOKENS, DEFAULT_CHUNK_TOKENS),
        reserved_tokens=token_counter(None).count(prefix) if prefix else 0,
    )
    return asdict(settings)
