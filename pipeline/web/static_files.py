"""The page's files: read once from the package, sent with a type, an ETag and, where it is taken, compressed.

The page itself gets its style sheets as one `style` element, so that its first paint waits for no other request.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.server.exchange import Reply, Request

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
SHEET = re.compile(r'<link rel="stylesheet" href="/static/([^"]+)">\n')
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
    found = {
        path.relative_to(FOLDER).as_posix(): _file(path.read_bytes(), path.suffix)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in TYPES and path.is_file()
    }
    page = found[INDEX].content.decode()
    style = "".join(found[name].content.decode() for name in SHEET.findall(page))
    page = SHEET.sub("", page).replace("</title>\n", f"</title>\n<style>{style}</style>\n")
    return {**found, INDEX: _file(page.encode(), ".html")}


def style_hash(page: File) -> str:
    """What a content policy calls the page's own `style` element."""
    style = page.content.partition(b"<style>")[2].partition(b"</style>")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(style).digest()).decode()}'"


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


def _file(content: bytes, suffix: str) -> File:
    return File(
        content=content,
        packed=gzip.compress(content, 9, mtime=0),
        tag=f'"{hashlib.sha256(content).hexdigest()[:20]}"',
        kind=TYPES[suffix],
    )
