"""The settings of `pipeline web`: what it may show, take and do at a time. One frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """`roots` are the folders below which may be indexed; `token`, where there is one, must come with each request.

    `rate` requests a second are answered of one address on average, `burst` at once; `answers` are written at the same
    time, further ones are refused. Sizes are in bytes: of a JSON body, of one uploaded file, of all files of a
    collection.
    """

    roots: tuple[Path, ...] = ()
    token: str = ""
    rate: float = 50.0
    burst: int = 300
    answers: int = 4
    threads: int = 64
    body_bytes: int = MIB
    upload_bytes: int = 64 * MIB
    uploads_bytes: int = 2048 * MIB
