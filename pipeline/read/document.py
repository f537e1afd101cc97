"""Reads one file into a Document: bytes, encoding, format, structure.

In: a path. Out: a Document, or a ReadError that says what is wrong and what to do. Its cause is an OSError where the
file could not be read, a MissingExtra where a library for its format is not installed, and anything else, or none,
where its content is no document.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from pipeline.errors import MissingExtra, ReadError
from pipeline.read.decode import decode
from pipeline.read.files import read_regular
from pipeline.read.formats import FORMATS, Parsed, Unreadable, format_when_named, language_of, reader_of
from pipeline.read.isolation import ParserFailed, parse_isolated
from pipeline.types import Block, Document

LONGEST_REASON = 200
"""How much of what a library says of a failure is passed on, in characters."""


def read_document(path: Path) -> Document:
    """Reads `path`, which is absolute. Raises ReadError."""
    name = format_when_named(path)
    try:
        content = read_regular(path, max_bytes=FORMATS[name].max_bytes)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        parsed = parse_isolated(name, content) if FORMATS[name].of_bytes else parse_text(name, content)
    except Unreadable as error:
        raise ReadError(error.message, path=path, hint=error.hint) from error
    except MissingExtra as error:
        # The hint stands in the message: a report of many files has one line for each.
        message = f"cannot be read as {name}: {error.message}; {error.hint}"
        raise ReadError(message, path=path, hint=error.hint) from error
    except Exception as error:  # a parser's bug, or its limit, with one file must not keep the others from being read
        raise _unparsable(path, name, error) from error
    metadata = dict(parsed.metadata)
    if name == "code" and (language := language_of(path)):
        metadata["language"] = language
    return Document(
        document_id=hashlib.blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest(),
        path=str(path),
        format=name,
        text=parsed.text,
        title=parsed.title or _title(parsed.blocks),
        blocks=parsed.blocks,
        content_hash=hashlib.sha256(content).hexdigest(),
        metadata=metadata,
        source_lines=parsed.source_lines,
        pages=parsed.pages,
        notices=parsed.notices,
    )


def parse_text(name: str, content: bytes) -> Parsed:
    """The content of a text format, decoded and parsed. Raises Unreadable, or whatever the parser raises."""
    decoded = decode(content)
    parsed = reader_of(name)(decoded.text)
    metadata, notices = parsed.metadata, parsed.notices
    if decoded.encoding != "utf-8":
        metadata = {**metadata, "encoding": decoded.encoding}
    if decoded.replaced:
        places = "place" if decoded.replaced == 1 else "places"
        notices = (*notices, f"not all of it is {decoded.encoding}: unreadable bytes in {decoded.replaced} {places}")
    return replace(parsed, metadata=metadata, notices=notices)


def _unreadable(path: Path, error: OSError) -> ReadError:
    hint = (
        "check its permissions" if isinstance(error, PermissionError) else "see that it is still there, and try again"
    )
    return ReadError(f"cannot be read: {error.strerror or error}", path=path, hint=hint)


def _unparsable(path: Path, name: str, error: Exception) -> ReadError:
    said = " ".join(str(error).split())[:LONGEST_REASON]
    if not isinstance(error, ParserFailed):  # which names what happened in the worker
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    hint = (
        "see that it opens in the program it was made with, or name it in .pipelineignore to leave it out"
        if FORMATS[name].of_bytes
        else "name it .txt to have it read as plain text, or name it in .pipelineignore to leave it out"
    )
    return ReadError(f"cannot be read as {name}: {said}", path=path, hint=hint)


def _title(blocks: tuple[Block, ...]) -> str:
    return next((block.title for block in blocks if block.kind == "heading"), "")
