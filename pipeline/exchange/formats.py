"""Which file formats there are, what their columns are called, and what stands in a file beside the passages.

In: paths, manifests, JSON. Out: a format's name, `Columns`, `Facts`. docs/exchange.md describes it for others.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.chunk import ChunkSettings
from pipeline.embed import ModelIdentity
from pipeline.errors import ReadError, UsageError
from pipeline.version import VERSION

if TYPE_CHECKING:
    from pipeline.store import Snapshot

PARQUET, JSONL, NUMPY = "parquet", "jsonl", "numpy"
FORMATS = (PARQUET, JSONL, NUMPY)
SUFFIXES = {".parquet": PARQUET, ".jsonl": JSONL, ".ndjson": JSONL, ".numpy": NUMPY, ".npy": NUMPY}

VECTORS_FILE = "vectors.npy"
PASSAGES_FILE = "passages.jsonl"
FACTS_FILE = "model.json"
FACTS_SUFFIX = ".model.json"
FACTS_KEY = "pipeline"
"""Of the metadata of a Parquet file's schema."""

FACTS_VERSION = 1
MOST_FACTS_BYTES = 2**20

OF_DOCUMENT = ("document_id", "title", "format", "size", "mtime_ns", "document_hash", "metadata")
OF_PASSAGE = ("chunk_id", "start", "end", "start_line", "end_line", "page", "end_page", "heading_path", "content_hash")
ONLY_WITH_FACTS = frozenset({"size", "mtime_ns", "document_hash", "content_hash"})
"""Columns that mean what they say only in a file that `export` wrote; another program's may mean anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns of a file are called. With `path` None it is `path` where the file has one of that name."""

    text: str = "text"
    vector: str = "vector"
    path: str | None = None

    def path_in(self, names: Collection[str]) -> str | None:
        """The column of `names` that tells a passage's document, if any."""
        return self.path or ("path" if "path" in names else None)

    def read(self, names: Collection[str], *, with_facts: bool) -> list[str]:
        """Those of `names` that are read beside the vectors."""
        path = self.path_in(names)
        # Without paths there are no documents that these columns could describe.
        others = OF_PASSAGE if path is None else (*OF_DOCUMENT, *OF_PASSAGE)
        wanted = {name for name in others if with_facts or name not in ONLY_WITH_FACTS}
        wanted = (wanted | {self.text, path}) - {self.vector}
        return [name for name in names if name in wanted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a file says of its vectors: the model, how the documents were cut, and how many rows there are."""

    model: ModelIdentity
    chunker: dict[str, Any]
    rows: int

    @classmethod
    def of(cls, snapshot: Snapshot) -> Facts:
        manifest = snapshot.manifest
        return cls(model=manifest.model, chunker=manifest.chunker, rows=manifest.live_rows)

    def to_json(self) -> bytes:
        content = {"exchange": FACTS_VERSION, "written_by": f"pipeline {VERSION}", **dataclasses.asdict(self)}
        return json.dumps(content, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes, path: Path) -> Facts:
        """What `to_json` wrote, found in or beside the file `path`. Raises ReadError."""
        try:
            said = json.loads(content)
            if said["exchange"] != FACTS_VERSION:
                raise ReadError(
                    f"{path} was written for version {said['exchange']} of the exchange, this release reads "
                    f"{FACTS_VERSION}",
                    path=path,
                    hint="import it with the release that wrote it",
                )
            model = ModelIdentity(**said["model"])
            texts = [said["model"][name] for name in ("name", "digest", "query_prefix", "document_prefix")]
            counts = (model.dimension, model.context, said["rows"], ChunkSettings(**said["chunker"]).max_tokens)
            if not all(isinstance(text, str) for text in texts) or not model.name:
                raise ValueError("the model has no name or no prefixes")
            if not all(type(count) is int and count >= 0 for count in counts) or not model.dimension:
                raise ValueError("a count is not a number")
            return cls(model=model, chunker=said["chunker"], rows=said["rows"])
        except (ValueError, KeyError, TypeError) as error:
            raise ReadError(
                f"what {path} says of its model cannot be understood: {error}",
                path=path,
                hint="export it again, or take that out and name the model with --model",
            ) from error


def read_facts(path: Path, data: Path) -> Facts | None:
    """The facts in the file `path`, which stands beside the file `data`; None where there is none."""
    try:
        with path.open("rb") as file:
            return Facts.from_json(file.read(MOST_FACTS_BYTES), data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReadError(f"cannot read {path}: {error.strerror or error}", path=path) from error


def facts_beside(path: Path) -> Path:
    """Where the facts of a JSON lines file stand."""
    return path.with_name(path.name + FACTS_SUFFIX)


def format_of(path: Path, asked: str | None) -> str:
    """The format that was asked for, or that of the path's suffix. Raises UsageError."""
    if asked is not None:
        return asked
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"the name {path.name!r} does not tell a format",
            hint=f"end it in .parquet, .jsonl or .numpy, or give --format ({', '.join(FORMATS)})",
        ) from None
