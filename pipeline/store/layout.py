"""File names of a collection on disk. `docs/storage.md` says how to read them without this package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CorruptCollection, UsageError

FORMAT_VERSION = 3
READABLE_FORMATS = (1, 2, 3)
"""Format 1 has no search indexes, and segments of formats 1 and 2 no path tables; the next commit writes the manifest
anew, and the run that makes it adds the tables."""

MANIFEST_NAME = re.compile(r"manifest-([0-9]+)\.json")
VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

VECTORS = "vectors.arrow"
PASSAGES = "passages.arrow"
DOCUMENTS = "documents.arrow"
HASHES = "hashes.arrow"
PATHS = "paths.arrow"
SEGMENT_FILES = (VECTORS, PASSAGES, DOCUMENTS, HASHES)
"""Those that every segment has; segments of older formats lack PATHS."""

DERIVED = (HASHES, PATHS)
"""Those that follow from others, HASHES from PASSAGES and PATHS from DOCUMENTS: a writer makes them again."""

INDEX_SUFFIX = ".faiss"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of the collection in `root`."""

    root: Path

    @classmethod
    def of(cls, home: Path, name: str) -> Layout:
        """The layout of collection `name` below `home`. Raises UsageError for a name that is no plain file name."""
        if not VALID_NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be a collection's name",
                hint="use up to 64 letters, digits, '.', '_' and '-', starting with a letter or digit",
            )
        return cls(home / "collections" / name)

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def staging(self) -> Layout:
        """Where the collection is drawn up anew with another model, before it takes the place of what there is."""
        return Layout(self.root / "staging")

    @property
    def verified(self) -> Path:
        return self.root / "verified"

    @property
    def segments(self) -> Path:
        return self.root / "segments"

    def segment_id(self, generation: int, number: int = 0) -> str:
        """The id of a segment that a generation adds; `number` tells several of them apart."""
        return f"{generation:08d}-{number}" if number else f"{generation:08d}"

    def segment(self, segment_id: str) -> Path:
        return self.segments / segment_id

    def manifest(self, generation: int) -> Path:
        return self.root / f"manifest-{generation:08d}.json"

    def deleted(self, segment_id: str, generation: int) -> Path:
        return self.segment(segment_id) / f"deleted-{generation:08d}.arrow"

    def index(self, segment_id: str, generation: int) -> Path:
        return self.segment(segment_id) / f"index-{generation:08d}{INDEX_SUFFIX}"

    def touched(self, generation: int) -> Path:
        return self.root / f"touched-{generation:08d}.arrow"

    def removable(self) -> list[Path]:
        """What there is of segments and of files that belong to a generation, whether a manifest names it or not."""
        return [
            *self.segments.iterdir(),
            *self.segments.glob("*/deleted-*.arrow"),
            *self.segments.glob(f"*/index-*{INDEX_SUFFIX}"),
            *self.root.glob("touched-*.arrow"),
        ]

    def generations(self) -> list[int]:
        """Generations that have a manifest, newest first; none where there is no such folder.

        Raises CorruptCollection if it cannot be looked into: that must never pass for an empty one.
        """
        try:
            names = [path.name for path in self.root.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise CorruptCollection(
                f"{self.root} cannot be read: {error.strerror}", hint="check its permissions and the disk"
            ) from error
        found = (MANIFEST_NAME.fullmatch(name) for name in names)
        return sorted((int(match[1]) for match in found if match), reverse=True)
