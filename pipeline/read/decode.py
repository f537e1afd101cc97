"""Bytes to text: by the byte order mark, else UTF-8, else one confident guess.

In: a file's bytes. Out: its text, the name of its encoding, and how many bytes had to be replaced. Bytes that are no
UTF-8 in a file that otherwise is are replaced and counted, not taken as a sign of another encoding.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from pipeline.read.formats import Unreadable

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SNIFFED_BYTES = 2**16
GUESSED_BYTES = 2**18
"""How much of a file is looked at to guess its encoding."""
MOST_CHAOS = 0.1
"""How much disorder (charset-normalizer's measure, 0 to 1) a guessed encoding may leave."""
MOST_USUAL = "cp1252"
"""What to take where several encodings fit equally well, as browsers do (https://encoding.spec.whatwg.org)."""
LEAST_ZEROS = 0.4
"""In UTF-16 of Latin text every other byte is nought; spaces and digits alone are fewer."""
SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
MAGIC = (
    (b"%PDF-", "is a PDF file", "name it .pdf to have it read"),
    (b"PK\x03\x04", "is a zip archive", "name it by what it is, such as .docx or .zip, to have it read"),
    (b"\xd0\xcf\x11\xe0", "is an old Office file", "save it in a current format, such as .docx"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    text: str
    encoding: str
    replaced: int = 0


def decode(content: bytes) -> Decoded:
    """The text of a file's bytes. Raises Unreadable if they are none."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _as(content, encoding)
    for magic, message, hint in MAGIC:
        if content.startswith(magic):
            raise Unreadable(message, hint=hint)
    head = content[:SNIFFED_BYTES]
    if b"\0" in head:
        return _unmarked(content, head)
    try:
        return Decoded(text=content.decode("utf-8"), encoding="utf-8")
    except UnicodeDecodeError:
        pass
    text = content.decode("utf-8", "replace")
    replaced = text.count("\ufffd")
    if len(SEQUENCE.findall(content)) > replaced:
        return Decoded(text=text, encoding="utf-8", replaced=replaced)
    return _guessed(content)


def _as(content: bytes, encoding: str) -> Decoded:
    """The text in an encoding that the file itself names. A few bad bytes are replaced, many are no text."""
    try:
        return Decoded(text=content.decode(encoding), encoding=encoding)
    except UnicodeDecodeError:
        text = content.decode(encoding, "replace")
    replaced = text.count("\ufffd")
    if replaced * 10 > len(text):
        raise _undecodable()
    return Decoded(text=text, encoding=encoding, replaced=replaced)


def _unmarked(content: bytes, head: bytes) -> Decoded:
    """UTF-16 without a mark is told by its zeros; other files with zeros are no text."""
    units = len(head) // 2
    for parity, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = head[parity::2].count(0), head[1 - parity :: 2].count(0)
        if units and zeros > LEAST_ZEROS * units and not others:
            try:
                return _as(content, encoding)
            except Unreadable:
                break
    raise Unreadable("is a binary file", hint="name it in .pipelineignore to leave it out")


def _guessed(content: bytes) -> Decoded:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - only for legacy encodings

    sample = content
    if len(content) > GUESSED_BYTES:
        # Around the first bytes that tell, whole lines of it: a cut in a character would look like chaos.
        first = re.search(rb"[\x80-\xff]", content)
        start = content.rfind(b"\n", 0, first.start() if first else 0) + 1
        sample = content[start : start + GUESSED_BYTES]
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    guesses = from_bytes(sample, threshold=MOST_CHAOS)
    best = guesses.best()
    if best is None:
        raise _undecodable()
    equals = [guess for guess in guesses if (guess.chaos, guess.coherence) == (best.chaos, best.coherence)]
    usual = any(MOST_USUAL in guess.could_be_from_charset for guess in equals)
    encoding = MOST_USUAL if usual else best.encoding
    return _as(content, encoding)


def _undecodable() -> Unreadable:
    return Unreadable("is in an encoding that cannot be told", hint="save it as UTF-8, or name it in .pipelineignore")
