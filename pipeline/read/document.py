"""Reads one file into a Document: bytes, encoding, format, structure.

In: a path. Out: a Document, or a ReadError that says what is wrong and what to do. Its cause is an OSError where the
file could not be read, and anything else, or none, where its content is no document.
"""

from __future__ import annotations

import codecs
import hashlib
from pathlib import Path

from pipeline.errors import ReadError
from pipeline.read.files import read_regular
from pipeline.read.formats import format_of, reader_of
from pipeline.types import Block, Document

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SNIFFED_BYTES = 2**16
MOST_CHAOS = 0.1
"""How much disorder (charset-normalizer's measure, 0 to 1) a guessed encoding may leave."""
MOST_USUAL = "cp1252"
"""What to take where several encodings fit equally well, as browsers do (https://encoding.spec.whatwg.org)."""
PDF_MAGIC = b"%PDF-"
LONGEST_REASON = 200
"""How much of what a library says of a failure is passed on, in characters."""


def read_document(path: Path) -> Document:
    """Reads `path`, which is absolute. Raises ReadError."""
    try:
        content = read_regular(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    name = format_of(path) or "text"
    try:
        text, encoding = _decode(content, path)
        parsed = reader_of(name)(text)
    except ReadError:
        raise
    except Exception as error:  # a parser's bug, or its limit, with one file must not keep the others from being read
        raise _unparsable(path, name, error) from error
    metadata = dict(parsed.metadata)
    if encoding != "utf-8":
        metadata["encoding"] = encoding
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
    )


def _decode(content: bytes, path: Path) -> tuple[str, str]:
    """The text and the name of its encoding: by its byte order mark, else UTF-8, else one confident guess."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding), encoding
            except UnicodeDecodeError as error:
                raise _undecodable(path) from error
    if content.startswith(PDF_MAGIC):
        raise ReadError("is a PDF file, a format that is not read", path=path, hint="convert it to text or Markdown")
    if b"\0" in content[:SNIFFED_BYTES]:
        raise ReadError("is a binary file", path=path, hint="name it in .pipelineignore to leave it out")
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes  # noqa: PLC0415 - only for legacy encodings

    guesses = from_bytes(content, threshold=MOST_CHAOS)
    best = guesses.best()
    if best is None:
        raise _undecodable(path)
    equals = [guess for guess in guesses if (guess.chaos, guess.coherence) == (best.chaos, best.coherence)]
    guess = next((guess for guess in equals if guess.encoding == MOST_USUAL), best)
    return str(guess), guess.encoding


def _unreadable(path: Path, error: OSError) -> ReadError:
    hint = (
        "check its permissions" if isinstance(error, PermissionError) else "see that it is still there, and try again"
    )
    return ReadError(f"cannot be read: {error.strerror or error}", path=path, hint=hint)


def _unparsable(path: Path, name: str, error: Exception) -> ReadError:
    said = " ".join(str(error).split())[:LONGEST_REASON]
    reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
    hint = "name it .txt to have it read as plain text, or name it in .pipelineignore to leave it out"
    return ReadError(f"cannot be read as {name}: {reason}", path=path, hint=hint)


def _undecodable(path: Path) -> ReadError:
    return ReadError(
        "is in an encoding that cannot be told", path=path, hint="save it as UTF-8, or name it in .pipelineignore"
    )


def _title(blocks: tuple[Block, ...]) -> str:
    return next((block.title for block in blocks if block.kind == "heading"), "")
