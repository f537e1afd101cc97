"""The heading line that is embedded before a chunk's text, and the hash of both.

In: a document's title, the headings a chunk stands under. Out: the lines that may go before it; for a passage as it is
stored, the string that was embedded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

CONTEXT_SEPARATOR = " > "


def heading_lines(title: str, path: tuple[str, ...]) -> Iterator[str]:
    """What may be embedded before a text, longest first: outer headings are dropped first, and at last all."""
    parts = path if path[:1] == (title,) or not title else (title, *path)
    while parts:
        yield CONTEXT_SEPARATOR.join(parts) + "\n"
        parts = parts[1:]
    yield ""


def hash_of(embedded: str) -> bytes:
    """BLAKE2b-128 of a string that is embedded: equal hashes may share a vector."""
    return hashlib.blake2b(embedded.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def embedded_text(title: str, path: tuple[str, ...], text: str, content_hash: bytes) -> str:
    """What was embedded for a stored passage: its text after the heading line with which it has `content_hash`.

    A passage with the vector of something else, as an import may bring, gets all of its headings.
    """
    lines = list(heading_lines(title, path))
    return next((line + text for line in lines if hash_of(line + text) == content_hash), lines[0] + text)
