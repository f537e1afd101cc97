"""A blob for a registry: a digest of the store comes in, the registry has its bytes at the end."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx

from pipeline.errors import UsageError
from pipeline.server.names import parse_name
from pipeline.server.registry.connection import Registry, RegistryError, location, redirect_of
from pipeline.server.registry.download import ATTEMPTS, FIRST_PAUSE_SECONDS, LARGEST_PART, PARTS, SMALLEST_PART
from pipeline.server.registry.manifest import NamedBlob
from pipeline.server.registry.transfer import Transfer

logger = logging.getLogger(__name__)

PIECE_BYTES = 2**18
SESSIONS = "blobs/uploads/"
BINARY = "application/octet-stream"


class Upload(Transfer):
    """`path` is the blob. Closes the registry at its end."""

    def __init__(self, registry: Registry, blob: NamedBlob, path: Path) -> None:
        super().__init__("pushing", blob.digest)
        self._registry = registry
        self._blob = blob
        self._path = path

    def work(self) -> None:
        with self._registry:
            self.total = self._path.stat().st_size
            reply, _ = self._registry.read("POST", self._session(), cancellation=self.stop)
            if reply.status_code == 201:  # the registry has it from another model
                self.count(self.total)
                return
            url = location(reply)
            step = min(max(self.total // PARTS, SMALLEST_PART), LARGEST_PART)
            checksums: list[bytes] = []
            for offset in range(0, self.total, step):
                url, checksum = self._send_part(url, offset, min(step, self.total - offset))
                checksums.append(checksum)
            whole = hashlib.md5(b"".join(checksums), usedforsecurity=False).hexdigest()
            query = {"digest": self.digest, "etag": f"{whole}-{len(checksums)}"}
            self._attempts("PUT", _with_query(url, query), {"content-type": BINARY})

    def _session(self) -> str:
        try:
            name = parse_name(self._blob.origin)
        except UsageError:
            return SESSIONS
        return _with_query(SESSIONS, {"mount": self.digest, "from": f"{name.namespace}/{name.model}"})

    def _send_part(self, url: str, offset: int, size: int) -> tuple[str, bytes]:
        """Where the next part goes, and this one's checksum."""
        sizes = {"content-type": BINARY, "content-length": str(size)}
        ranged = {**sizes, "content-range": f"{offset}-{offset + size - 1}", "x-redirect-uploads": "1"}
        reply, checksum = self._attempts("PATCH", url, ranged, offset, size)
        following = location(reply)
        if reply.status_code == 307:
            # The registry wants the bytes elsewhere; where the next part goes is in a header of its own.
            self.count(-size)
            _, checksum = self._attempts("PUT", redirect_of(reply), sizes, offset, size)
        return following, checksum

    def _attempts(
        self, method: str, url: str, headers: Mapping[str, str], offset: int = 0, size: int = 0
    ) -> tuple[httpx.Response, bytes]:
        """The reply, and the MD5 of the bytes that were sent."""
        attempt = 0
        while True:
            sent = _Section(self, self._path, offset, size)
            try:
                reply, _ = self._registry.read(
                    method, url, headers=headers, content=sent.pieces if size else b"", cancellation=self.stop
                )
                return reply, sent.checksum.digest()
            except RegistryError as error:
                self.stop.check()
                self.count(-sent.sent)
                attempt += 1
                if attempt == ATTEMPTS:
                    raise RegistryError(f"max retries exceeded: {error.message}") from error
                logger.info("%s attempt %d failed: %s", self.digest[7:19], attempt, error)
            self.pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))


class _Section:
    """Bytes of a file on their way: what has been sent of them is counted, and goes into the checksum."""

    def __init__(self, transfer: Transfer, path: Path, offset: int, size: int) -> None:
        self._transfer = transfer
        self._path = path
        self._offset = offset
        self._size = size
        self.sent = 0
        self.checksum = hashlib.md5(usedforsecurity=False)

    def pieces(self) -> Iterator[bytes]:
        """From the beginning: a request that has to be signed in to is sent twice."""
        self._transfer.count(-self.sent)
        self.sent = 0
        self.checksum = hashlib.md5(usedforsecurity=False)
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while self.sent < self._size and (piece := file.read(min(PIECE_BYTES, self._size - self.sent))):
                self._transfer.stop.check()
                yield piece
                self.sent += len(piece)
                self._transfer.count(len(piece))
                self.checksum.update(piece)


def _with_query(url: str, values: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *values.items()])))
