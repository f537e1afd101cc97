"""The page's files: read once from the package, sent with a type, an ETag and, where it is taken, compressed."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.server.exchange import Reply, Request

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    content: bytes
    packed: bytes
    tag: str
    kind: str


def read_files() -> dict[str, File]:
    """Every file of the page, by its name below the folder."""
    return {
        str(path.relative_to(FOLDER).as_posix()): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in TYPES and path.is_file()
    }


def file_reply(file: File, request: Request) -> Reply:
    """The file, or 304 where the client has it."""
    headers = {"content-type": file.kind, "etag": file.tag, "cache-control": "no-cache", "vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == file.tag:
        return Reply(status=304, headers=headers)
    if takes_gzip(request):
        return Reply(headers={**headers, "content-encoding": "gzip"}, body=file.packed)
    return Reply(headers=headers, body=file.content)


def takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "").lower()


def _read(path: Path) -> File:
    content = path.read_bytes()
    return File(
        content=content,
        packed=gzip.compress(content, 9, mtime=0),
        tag=f'"{hashlib.sha256(content).hexdigest()[:20]}"',
        kind=TYPES[path.suffix],
    )
