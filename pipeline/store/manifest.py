"""The manifest: what a collection is made of at one moment. Writing the next one is the commit.

In: a `Layout`. Out: frozen records, read from and written as JSON. A reader that holds a manifest sees that state
for as long as it likes, because the files it names never change.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.embed.identity import ModelIdentity
from pipeline.errors import CollectionNotFound, CorruptCollection
from pipeline.store.files import FileRecord, write_atomic
from pipeline.store.layout import FORMAT_VERSION, READABLE_FORMATS, Layout
from pipeline.store.lease import unread

KEPT_MANIFESTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRecord:
    """The file of a segment's approximate index, and what its builder says of it: kind, candidates, recall."""

    file: FileRecord
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecord:
    """`deleted` names the file that lists the segment's dead rows, if it has any; `deleted_rows` counts them."""

    id: str
    rows: int
    documents: int
    files: tuple[FileRecord, ...]
    deleted: FileRecord | None = None
    deleted_rows: int = 0
    index: IndexRecord | None = None

    @property
    def live_rows(self) -> int:
        return self.rows - self.deleted_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`chunker` holds the settings by which every document was cut; `touched` lists newer file times."""

    generation: int
    model: ModelIdentity
    chunker: dict[str, Any]
    segments: tuple[SegmentRecord, ...] = ()
    touched: FileRecord | None = None
    metric: str = "cosine"
    format: int = FORMAT_VERSION
    created: str = ""
    updated: str = ""
    written_by: str = ""

    @property
    def live_rows(self) -> int:
        return sum(segment.live_rows for segment in self.segments)

    def names(self, layout: Layout) -> set[Path]:
        """What it needs on disk: the folders of its segments, the lists of their dead rows, the newer file times."""
        found = {layout.segment(segment.id) for segment in self.segments}
        found |= {layout.segment(item.id) / item.deleted.name for item in self.segments if item.deleted}
        found |= {layout.segment(item.id) / item.index.file.name for item in self.segments if item.index}
        return found | {layout.root / self.touched.name} if self.touched else found


def read_manifest(layout: Layout, generation: int | None = None) -> Manifest:
    """The manifest of a generation, or the newest one.

    Raises:
        CollectionNotFound: there is none.
        CorruptCollection: it was altered, cannot be understood, or is of a newer format.
    """
    generations = layout.generations() if generation is None else [generation]
    if not generations:
        raise CollectionNotFound(
            f"there is no collection {layout.name!r} in {layout.root.parent}",
            hint=f"make it with: pipeline index PATH -c {layout.name}",
        )
    path = layout.manifest(generations[0])
    try:
        content = json.loads(path.read_bytes())
        version = content["format"]
        if version not in READABLE_FORMATS:
            raise CorruptCollection(
                f"{path} has format {version}, this release reads formats up to {FORMAT_VERSION}",
                hint="use the release that wrote it, or index the documents again",
            )
        if version > 1 and content.pop("checksum") != _checksum(content):
            raise ValueError("its checksum is wrong")
        return _from_json(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptCollection(
            f"{path} cannot be understood: {error}",
            hint="remove that file to go back to the generation before it, or index again into a new collection",
        ) from error


def kept_manifests(layout: Layout) -> list[Manifest]:
    """The manifests that a reader has open or may be about to; one that cannot be read is of no use to any."""
    found: list[Manifest] = []
    for generation in layout.generations():
        with contextlib.suppress(CorruptCollection):
            found.append(read_manifest(layout, generation))
    return found


def write_manifest(layout: Layout, manifest: Manifest) -> None:
    """Commits `manifest`. Raises StorageUnwritable."""
    content = dataclasses.asdict(dataclasses.replace(manifest, format=FORMAT_VERSION))
    text = json.dumps({**content, "checksum": _checksum(content)}, ensure_ascii=False, indent=1)
    write_atomic(layout.manifest(manifest.generation), text.encode())
    remove_unread_manifests(layout)


def remove_unread_manifests(layout: Layout) -> None:
    """Removes those older than the last few that no reader has open."""
    for generation in layout.generations()[KEPT_MANIFESTS:]:
        # What cannot be tidied up now is tidied up at the next commit.
        with unread(layout.manifest(generation)) as free, contextlib.suppress(OSError):
            if free:
                layout.manifest(generation).unlink(missing_ok=True)


def _checksum(content: dict[str, Any]) -> str:
    """SHA-256 of the manifest as compact JSON without its `checksum`."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _from_json(content: dict[str, Any]) -> Manifest:
    fields = dict(content)
    fields["model"] = ModelIdentity(**fields["model"])
    fields["segments"] = tuple(_segment(segment) for segment in fields["segments"])
    fields["touched"] = _file(fields["touched"])
    return Manifest(**fields)


def _segment(content: dict[str, Any]) -> SegmentRecord:
    fields = dict(content)
    fields["files"] = tuple(FileRecord(**file) for file in fields["files"])
    fields["deleted"] = _file(fields["deleted"])
    if index := fields.get("index"):
        fields["index"] = IndexRecord(file=FileRecord(**index["file"]), facts=index["facts"])
    return SegmentRecord(**fields)


def _file(content: dict[str, Any] | None) -> FileRecord | None:
    return FileRecord(**content) if content else None
