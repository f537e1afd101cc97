"""A collection as it stood at one commit, for reading. What it shows never changes, whatever a writer does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.embed.identity import ModelIdentity
from pipeline.embed.known import split_tag
from pipeline.errors import CollectionNotFound, CorruptCollection, DimensionMismatch, ModelMismatch
from pipeline.store.files import check_file, map_table
from pipeline.store.layout import Layout
from pipeline.store.manifest import Manifest, read_manifest
from pipeline.store.segment import Segment, StoredDocument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

READ_ATTEMPTS = 3


@dataclass(frozen=True)
class Snapshot:
    """A manifest with its segments opened."""

    layout: Layout
    manifest: Manifest
    segments: tuple[Segment, ...]

    @classmethod
    def open(cls, layout: Layout) -> Snapshot:
        """The newest state of a collection.

        Raises:
            CollectionNotFound: there is none of that name.
            CorruptCollection: a file is missing, cut or altered, or of another format.
        """
        for attempt in range(READ_ATTEMPTS):
            manifest = read_manifest(layout)
            try:
                return cls.at(layout, manifest)
            except CorruptCollection:
                superseded = layout.generations()[:1] != [manifest.generation]
                if not superseded or attempt == READ_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    @classmethod
    def at(cls, layout: Layout, manifest: Manifest) -> Snapshot:
        segments = tuple(
            Segment(layout, record, model=manifest.model.name, dimension=manifest.model.dimension)
            for record in manifest.segments
        )
        return cls(layout=layout, manifest=manifest, segments=segments)

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
                hint=f"leave out --model, or index into a new collection: pipeline index PATH -c NAME --model {model}",
            )

    def require_identity(self, identity: ModelIdentity) -> None:
        """Raises DimensionMismatch or ModelMismatch if the server has another model under the same name."""
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
                hint="use the server it was built with, or index the documents into a new collection (-c NAME)",
            )

    def documents(self) -> Iterator[StoredDocument]:
        """Every live document, with the file times that were seen last."""
        touched = self.touched
        for segment in self.segments:
            dead = set(segment.deleted.documents)
            for position, document in enumerate(segment.documents):
                if position in dead:
                    continue
                size, mtime_ns = touched.get(document.row.path, (document.row.size, document.row.mtime_ns))
                yield replace(document, row=replace(document.row, size=size, mtime_ns=mtime_ns))

    def vector_of(self, content_hash: bytes) -> NDArray[np.float32] | None:
        """The stored vector of a text with this hash, shape (dimension,), or None."""
        for segment in reversed(self.segments):
            row = segment.row_of(content_hash)
            if row is not None:
                return segment.vectors[row]
        return None

    @cached_property
    def touched(self) -> dict[str, tuple[int, int]]:
        if self.manifest.touched is None:
            return {}
        path = check_file(self.layout.root, self.manifest.touched, checksum=True)
        table = map_table(path).to_pydict()
        return {
            document: (size, mtime_ns)
            for document, size, mtime_ns in zip(table["path"], table["size"], table["mtime_ns"], strict=True)
        }


def collection_names(home: Path) -> list[str]:
    """Names of the collections below `home`, sorted."""
    folder = home / "collections"
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if Layout(entry).generations())


def require_collection(home: Path, name: str) -> Snapshot:
    """Opens a collection; the error for a missing one names those that exist."""
    layout = Layout.of(home, name)
    try:
        return Snapshot.open(layout)
    except CollectionNotFound as error:
        if existing := collection_names(home):
            error.hint = f"collections here: {', '.join(existing)}; choose one with -c NAME"
        raise
