"""Reads one file into a Document: bytes, encoding, format, structure.

In: a path. Out: a Document, or a ReadError that says what is wrong and what to do.
"""

from __future__ import annotations

import codecs
import hashlib
from pathlib import Path

from pipeline.errors import ReadError
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


def read_document(path: Path) -> Document:
    """Reads `path`, which is absolute. Raises ReadError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror}", path=path, hint="check its permissions") from error
    text, encoding = _decode(content, path)
    name = format_of(path) or "text"
    try:
        parsed = reader_of(name)(text)
    except RecursionError as error:
        raise ReadError(f"is nested too deeply for a {name} file", path=path) from error
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


def _undecodable(path: Path) -> ReadError:
    return ReadError(
        "is in an encoding that cannot be told", path=path, hint="save it as UTF-8, or name it in .pipelineignore"
    )


def _title(blocks: tuple[Block, ...]) -> str:
    return next((block.title for block in blocks if block.kind == "heading"), "")
