"""Stages 1 and 2 for one file: read, and cut into chunks. Needs nothing but the file, the settings and a token counter.

In: a path, and the hash of what is known of it. Out: a `Cut`, or `Unread` where it is no document. So that both can
come from another process, the document goes without its text, and `to_json` and `from_json` spell a result out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pipeline.chunk import ChunkSettings, TokenCounter, chunk_document
from pipeline.errors import MissingExtra, ReadError
from pipeline.read import read_document, with_language
from pipeline.types import Chunk, Document

EMPTY = "empty"
"""How an empty file is counted among what is skipped."""

Prepared = Callable[[], tuple[ChunkSettings, TokenCounter]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A document, its text and blocks left out, and its chunks. `unchanged`: it is as it was known, and was not cut."""

    document: Document
    chunks: tuple[Chunk, ...]
    unchanged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Why a file is no document. `out_of_reach`: it could not be opened, or what reads it is not installed.

    `empty`: there is no text in it, which is no fault.
    """

    message: str
    out_of_reach: bool = False
    empty: bool = False


def cut_file(path: Path, known_hash: str | None, prepared: Prepared) -> Cut | Unread:
    """Reads `path` and, unless its content has `known_hash`, cuts it by what `prepared` gives, called only then."""
    try:
        return _cut(path, known_hash, prepared)
    except ReadError as error:
        return Unread(message=error.message, out_of_reach=isinstance(error.__cause__, (OSError, MissingExtra)))


def _cut(path: Path, known_hash: str | None, prepared: Prepared) -> Cut | Unread:
    document = read_document(path)
    bare = replace(document, text="", blocks=(), source_lines=(), pages=())
    if document.content_hash == known_hash:
        return Cut(document=bare, chunks=(), unchanged=True)
    if not document.text.strip():
        return Unread(message=EMPTY, empty=True)
    settings, counter = prepared()
    bare = replace(bare, metadata=with_language(document, settings.language).metadata)
    return Cut(document=bare, chunks=tuple(chunk_document(document, settings=settings, counter=counter)))


def to_json(result: Cut | Unread) -> dict[str, Any]:
    if isinstance(result, Unread):
        return asdict(result)
    document = {name: getattr(result.document, name) for name in DOCUMENT_FIELDS}
    chunks = [_chunk_to_json(chunk) for chunk in result.chunks]
    document["metadata"] = dict(result.document.metadata)
    return {"document": document, "chunks": chunks, "unchanged": result.unchanged}


def from_json(content: dict[str, Any]) -> Cut | Unread:
    if "message" in content:
        return Unread(**content)
    document: dict[str, Any] = {**content["document"], "notices": tuple(content["document"]["notices"])}
    return Cut(
        document=Document(text="", blocks=(), **document),
        chunks=tuple([_chunk_from_json(values) for values in content["chunks"]]),
        unchanged=content["unchanged"],
    )


BY_OFFSET = ("text", "blocks", "source_lines", "pages")
"""What of a document is of use only with its text."""

DOCUMENT_FIELDS = [item.name for item in fields(Document) if item.name not in BY_OFFSET]
CHUNK_FIELDS = [item.name for item in fields(Chunk) if item.name not in ("embedded_text", "content_hash")]


def _chunk_to_json(chunk: Chunk) -> list[Any]:
    # The text stands in what is embedded, as a rule at its end: it goes over once.
    whole = chunk.embedded_text
    before = whole.removesuffix(chunk.text) if whole.endswith(chunk.text) else None
    values = [getattr(chunk, name) for name in CHUNK_FIELDS]
    return [*values, before, None if before is not None else whole, chunk.content_hash.hex()]


def _chunk_from_json(values: list[Any]) -> Chunk:
    *plain, before, whole, content_hash = values
    named = dict(zip(CHUNK_FIELDS, plain, strict=True))
    named["heading_path"] = tuple(named["heading_path"])
    embedded = whole if before is None else before + named["text"]
    return Chunk(embedded_text=embedded, content_hash=bytes.fromhex(content_hash), **named)
