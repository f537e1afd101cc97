"""A collection as it stood at one commit, for reading. What it shows never changes, whatever a writer does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.embed.identity import ModelIdentity
from pipeline.embed.known import split_tag
from pipeline.errors import CollectionNotFound, CorruptCollection, DimensionMismatch, ModelMismatch
from pipeline.store.files import map_table
from pipeline.store.layout import Layout
from pipeline.store.lease import Lease
from pipeline.store.manifest import Manifest, SegmentRecord, read_manifest
from pipeline.store.paths import STORED
from pipeline.store.segment import Segment, StoredDocument
from pipeline.store.verified import VerifiedFiles

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

READ_ATTEMPTS = 10


@dataclass(frozen=True)
class Snapshot:
    """A manifest with its segments opened; `touched` has the newer file times: columns path, size and mtime_ns.

    As long as it holds the `lease`, no writer removes a file of it.
    """

    layout: Layout
    manifest: Manifest
    segments: tuple[Segment, ...]
    touched: pa.Table | None
    verified: VerifiedFiles = field(repr=False)
    lease: Lease | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(cls, layout: Layout, previous: Snapshot | None = None) -> Snapshot:
        """The newest state of a collection; what `previous` has opened of it is not opened again.

        Raises:
            CollectionNotFound: there is none of that name.
            CorruptCollection: a file is missing, cut or altered, or of another format.
        """
        for attempt in range(READ_ATTEMPTS):
            newest = layout.generations()[:1]
            try:
                lease = Lease(layout.manifest(newest[0])) if newest else None
                manifest = read_manifest(layout, newest[0] if newest else None)
                return cls.at(layout, manifest, previous, lease=lease)
            except FileNotFoundError:
                continue
            except CorruptCollection:
                # A writer may have removed what has been superseded since it was looked for.
                if layout.generations()[:1] == newest or attempt == READ_ATTEMPTS - 1:
                    raise
        raise CorruptCollection(
            f"the manifests of {layout.root} go as fast as they come", hint="try again when its writer has finished"
        )

    @classmethod
    def at(
        cls, layout: Layout, manifest: Manifest, previous: Snapshot | None = None, *, lease: Lease | None = None
    ) -> Snapshot:
        """The state that a manifest describes. Raises CorruptCollection."""
        known = previous if previous is not None and previous.layout == layout else None
        if known is not None and known.manifest == manifest:
            for segment in known.segments:
                segment.require_sizes()
            return known
        verified = known.verified if known else VerifiedFiles(layout.verified)
        same = known is not None and known.manifest.model == manifest.model
        opened = {segment.id: segment for segment in known.segments} if known is not None and same else {}
        return cls(
            layout=layout,
            manifest=manifest,
            segments=tuple(
                _segment(layout, manifest, record, opened.get(record.id), verified) for record in manifest.segments
            ),
            touched=map_table(verified.require(layout.root, manifest.touched)) if manifest.touched else None,
            verified=verified,
            lease=lease,
        )

    @property
    def name(self) -> str:
        return self.layout.name

    def require_model(self, model: str) -> None:
        """Raises ModelMismatch unless `model` names the model that the collection was built with."""
        recorded = self.manifest.model
        if split_tag(recorded.name) != split_tag(model):
            raise ModelMismatch(
                f"collection {self.name!r} was built with model {recorded.name!r} "
                f"({recorded.dimension} dimensions), not {model!r}",
                hint=f"leave out --model, or index into a new collection (-c NAME), "
                f"or move this one: pipeline collections re-embed {self.name} --model {model}",
            )

    def require_identity(self, identity: ModelIdentity) -> None:
        """Raises DimensionMismatch or ModelMismatch if the model of the same name gives other vectors now.

        It may be another one on the server, or be given other prefixes.
        """
        recorded = self.manifest.model
        if recorded.dimension != identity.dimension:
            raise DimensionMismatch(
                model=recorded.name,
                expected=recorded.dimension,
                actual=identity.dimension,
                where=f"collection {self.name!r}",
            )
        if recorded.digest and identity.digest and recorded.digest != identity.digest:
            raise ModelMismatch(
                f"model {recorded.name!r} on this server is not the one that collection {self.name!r} was built with "
                f"(digest {identity.digest[:12]}, was {recorded.digest[:12]})",
                hint="use the server it was built with, or move the collection to the model as it is now: "
                f"pipeline collections re-embed {self.name} --model {recorded.name}",
            )
        for kind in ("query_prefix", "document_prefix"):
            was, now = getattr(recorded, kind), getattr(identity, kind)
            if was != now:
                raise ModelMismatch(
                    f"collection {self.name!r} was built with the {kind.replace('_', ' ')} {was!r} "
                    f"for model {recorded.name!r}, not {now!r}",
                    hint="leave out the prefixes, which the collection has recorded, or move it to other ones: "
                    f"pipeline collections re-embed {self.name} --model {recorded.name}",
                )

    @property
    def live_documents(self) -> int:
        """How many documents there are."""
        return sum(segment.record.documents - len(segment.deleted.documents) for segment in self.segments)

    def documents(self) -> Iterator[StoredDocument]:
        """Every live document, with the file times that were seen last."""
        for segment in self.segments:
            _, sizes, times = self.times(segment)
            live = set(segment.live_documents.tolist())
            for document in segment.stored_documents():
                if (at := document.position) in live:
                    row = replace(document.row, size=int(sizes[at]), mtime_ns=int(times[at]))
                    yield replace(document, row=row)

    def times(self, segment: Segment) -> tuple[pa.ChunkedArray, NDArray[np.int64], NDArray[np.int64]]:
        """Path, and size and `mtime_ns` as they were seen last, of every document of a segment by position."""
        import pyarrow.compute as pc  # noqa: PLC0415 - heavy

        table = segment.document_columns(*STORED)
        sizes, times = table.column("size").to_numpy().copy(), table.column("mtime_ns").to_numpy().copy()
        if self.touched is not None:
            newest = self.touched.column("path").combine_chunks()
            places = pc.index_in(  # pyright: ignore[reportAttributeAccessIssue] - pyarrow makes it when it is imported
                table.column("path"), value_set=newest
            )
            rows = pc.fill_null(places, -1).to_numpy()
            newer = rows >= 0
            sizes[newer] = self.touched.column("size").to_numpy()[rows[newer]]
            times[newer] = self.touched.column("mtime_ns").to_numpy()[rows[newer]]
        return table.column("path"), sizes, times

    def vectors_of(self, content_hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The stored vectors, each of shape (dimension,), of those texts with one of these hashes that have one.

        Copies: pages of mapped vectors would stay with a run that finds some in every segment.
        """
        import numpy as np  # noqa: PLC0415 - heavy

        found: dict[bytes, NDArray[np.float32]] = {}
        missing = list(dict.fromkeys(content_hashes))
        for segment in reversed(self.segments):
            if not missing:
                break
            rows = segment.rows_of(missing)
            if rows:
                vectors = segment.passing_vectors[np.fromiter(rows.values(), np.intp, len(rows))]
                found.update(zip(rows, vectors, strict=True))
            missing = [digest for digest in missing if digest not in rows]
        return found

    def segment_of(self, document: StoredDocument) -> Segment:
        return next(segment for segment in self.segments if segment.id == document.segment)


def _segment(
    layout: Layout, manifest: Manifest, record: SegmentRecord, opened: Segment | None, verified: VerifiedFiles
) -> Segment:
    if opened is not None and opened.record == record:
        opened.require_sizes()
        return opened
    return Segment(layout, record, model=manifest.model.name, dimension=manifest.model.dimension, verified=verified)


def collection_names(home: Path) -> list[str]:
    """Names of the collections below `home`, sorted."""
    folder = home / "collections"
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if _is_collection(entry))


def _is_collection(folder: Path) -> bool:
    try:
        return bool(Layout(folder).generations())
    except CorruptCollection:
        return True


def require_collection(home: Path, name: str, previous: Snapshot | None = None) -> Snapshot:
    """`Snapshot.open` by name; the error for a missing collection names those that exist."""
    layout = Layout.of(home, name)
    try:
        return Snapshot.open(layout, previous)
    except CollectionNotFound as error:
        if existing := collection_names(home):
            error.hint = f"collections here: {', '.join(existing)}; choose one with -c NAME"
        raise
