"""A blob from a registry: its digest comes in, the file `sha256-<hex>-partial` beside the store's blobs goes out.

It is fetched in parts, each by ranges of its own, and how far each has come stands in `sha256-<hex>-partial-<n>`, in
the real server's form: whatever breaks a download off, the next one, by either server, goes on from there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from pipeline.errors import StorageUnwritable
from pipeline.server.exchange import Cancellation
from pipeline.server.registry.connection import (
    MOST_REDIRECTS,
    UNEXPECTED_END,
    NotThere,
    Registry,
    RegistryError,
    cause_of,
    redirect_of,
)
from pipeline.server.registry.transfer import Transfer

logger = logging.getLogger(__name__)

PARTS = 16
SMALLEST_PART, LARGEST_PART = 100 * 10**6, 1000 * 10**6
PIECE_BYTES = 2**18
SAVE_BYTES = 2**22
"""After so many bytes what has been fetched is written down: no more is fetched twice after a kill."""
ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 1.0
"""The pause before the second attempt; it doubles with each one after that."""
LOCK_POLL_SECONDS = 0.05
PARTIAL = "-partial"
DIGEST_MISMATCH = "digest mismatch, file must be downloaded again"


@dataclass(slots=True)
class Part:
    """Bytes `offset` to `offset + size` of a blob, of which the first `completed` are there."""

    number: int
    offset: int
    size: int
    completed: int = 0


class Download(Transfer):
    """`path` is where the blob will stand, `size` in bytes what the manifest says. Closes the registry at its end."""

    def __init__(self, registry: Registry, digest: str, size: int, path: Path) -> None:
        super().__init__("pulling", digest)
        self._registry = registry
        self._url = f"blobs/{digest}"
        self._size = size
        self._path = path

    def work(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._registry, _held(self._path, self) as file:
                if file is not None:
                    self._fetch(file)
        except OSError as error:
            raise unwritable(error, partial_of(self._path)) from error

    def _fetch(self, file: int) -> None:
        parts = _saved_parts(self._path) or self._new_parts()
        self.total = sum(part.size for part in parts)
        self.count(sum(part.completed for part in parts))
        self._check_space(sum(part.size - part.completed for part in parts))
        os.ftruncate(file, self.total)
        waiting = [part for part in parts if part.completed < part.size]
        if not waiting:
            return
        url = self._direct_url()
        errors: list[Exception] = []
        taking = threading.Lock()

        def drain() -> None:
            try:
                while True:
                    with taking:
                        if not waiting:
                            return
                        part = waiting.pop(0)
                    self._fetch_part(file, part, url)
            except Exception as error:  # noqa: BLE001  it is raised below
                errors.append(error)
                self.stop.set()

        threads = [threading.Thread(target=drain, daemon=True) for _ in range(min(PARTS, len(waiting)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _new_parts(self) -> list[Part]:
        reply, _ = self._registry.read("HEAD", self._url, cancellation=self.stop)
        declared = reply.headers.get("content-length", "")
        total = int(declared) if declared.isdigit() else self._size
        step = min(max(total // PARTS, SMALLEST_PART), LARGEST_PART)
        offsets = range(0, total, step)
        parts = [Part(number, offset, min(step, total - offset)) for number, offset in enumerate(offsets)]
        for part in parts:
            _save(self._path, part)
        return parts

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self._path.parent).free
        if free < needed:
            raise StorageUnwritable(
                f"no space left on device: {needed // 10**6 + 1} MB are needed in {self._path.parent}, "
                f"{free // 10**6} MB are free",
                hint="free some space, or choose another place with OLLAMA_MODELS or --home",
            )

    def _direct_url(self) -> str:
        """Where the bytes are: registries send their readers on to other hosts, by addresses that expire."""
        url = ""
        for _ in range(MOST_REDIRECTS):
            with self._registry.open("GET", url or self._url, cancellation=self.stop) as reply:
                url = redirect_of(reply) if reply.is_redirect else str(reply.request.url)
                if not reply.is_redirect or urlsplit(url).netloc != self._registry.host:
                    return url
        raise RegistryError(f"maximum redirects exceeded ({MOST_REDIRECTS}) for directURL")

    def _fetch_part(self, file: int, part: Part, url: str) -> None:
        attempt = 0
        while True:
            before = part.completed
            try:
                url = url or self._direct_url()
                self._fetch_range(file, part, url)
                return
            except NotThere:
                raise
            except RegistryError as error:
                self.stop.check()
                attempt = 1 if part.completed - before >= SAVE_BYTES else attempt + 1
                if attempt >= ATTEMPTS:
                    raise RegistryError(f"max retries exceeded: {error.message}") from error
                logger.info("%s part %d attempt %d failed: %s", self.digest[7:19], part.number, attempt, error)
            self.pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            url = ""

    def _fetch_range(self, file: int, part: Part, url: str) -> None:
        start, end = part.offset + part.completed, part.offset + part.size
        headers = {"range": f"bytes={start}-{end - 1}"}
        saved = part.completed
        try:
            with self._registry.open("GET", url, headers=headers, cancellation=self.stop) as reply:
                for piece in _pieces(reply, start, end - start):
                    _write(file, piece, part.offset + part.completed)
                    part.completed += len(piece)
                    self.count(len(piece))
                    if part.completed - saved >= SAVE_BYTES:
                        _save(self._path, part)
                        saved = part.completed
                    self.stop.check()
        finally:
            _save(self._path, part)
        if part.completed < part.size:
            raise RegistryError(UNEXPECTED_END)


def partial_of(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)


def finish(path: Path, digest: str, cancellation: Cancellation) -> None:
    """Makes a blob of what has been downloaded, if its digest is right; what is not right is removed.

    Raises RegistryError with both digests, StorageUnwritable.
    """
    partial = partial_of(path)
    try:
        found = hashlib.sha256()
        with partial.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                cancellation.check()
                found.update(piece)
            os.fsync(file.fileno())
        if found.hexdigest() != digest[7:].lower():
            _remove_partial(path, with_bytes=True)
            raise RegistryError(f"{DIGEST_MISMATCH}: want {digest}, got sha256:{found.hexdigest()}")
        partial.replace(path)
    except FileNotFoundError:
        # Somebody else who wanted the blob was faster.
        if not path.is_file():
            raise RegistryError(f"{DIGEST_MISMATCH}: {digest} is gone") from None
    except OSError as error:
        raise unwritable(error, partial) from error
    _remove_partial(path, with_bytes=False)


def unwritable(error: OSError, path: Path) -> StorageUnwritable:
    """In the words of the real server."""
    return StorageUnwritable(
        f"write {path}: {(error.strerror or str(error)).lower()}",
        hint="free some space, make it writable, or choose another place with OLLAMA_MODELS or --home",
    )


@contextlib.contextmanager
def _held(path: Path, transfer: Transfer) -> Generator[int | None]:
    """The partial file, while no other process has it; None when the blob is there meanwhile."""
    partial = partial_of(path)
    while not path.is_file():
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while not _locked(file):
                transfer.pause(LOCK_POLL_SECONDS)
            # Whoever held it may have made a blob of it, or thrown it away.
            if path.is_file():
                break
            if _is_still(partial, file):
                yield file
                return
        finally:
            os.close(file)
    _remove_partial(path, with_bytes=True)
    yield None


def _is_still(path: Path, file: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pieces(reply: httpx.Response, start: int, size: int) -> Generator[bytes]:
    """The bytes from `start` on, `size` at most, of a reply that may begin earlier."""
    if reply.status_code not in (200, 206):
        raise RegistryError(f"unexpected status code {reply.status_code}")
    before = start if reply.status_code == 200 else 0
    try:
        for piece in reply.iter_raw():
            kept = piece[before:][:size]
            before = max(0, before - len(piece))
            size -= len(kept)
            if kept:
                yield kept
            if not size:
                return
    except httpx.HTTPError as error:
        raise RegistryError(cause_of(error, str(reply.request.url))) from error


def _write(file: int, piece: bytes, offset: int) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _part_path(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}{PARTIAL}-{number}")


def _save(path: Path, part: Part) -> None:
    record = {"N": part.number, "Offset": part.offset, "Size": part.size, "Completed": part.completed}
    place = _part_path(path, part.number)
    temporary = place.with_name(place.name + ".new")
    temporary.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    temporary.replace(place)


def _saved_parts(path: Path) -> list[Part]:
    """What an earlier download has left, or nothing where that is no whole set of parts."""
    parts: list[Part] = []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        records = [json.loads(place.read_bytes()) for place in path.parent.glob(f"{path.name}{PARTIAL}-*[0-9]")]
        parts = [Part(*(int(record[name]) for name in ("N", "Offset", "Size", "Completed"))) for record in records]
    parts.sort(key=lambda part: part.offset)
    ends = [0, *(part.offset + part.size for part in parts)]
    bytes_there = partial_of(path).stat().st_size
    whole = all(
        part.number == number and part.offset == end and 0 <= part.completed <= part.size
        for number, (part, end) in enumerate(zip(parts, ends, strict=False))
    )
    # The file has its full length from the beginning: one that was replaced holds nothing of what the parts claim.
    if whole and bytes_there == ends[-1]:
        return parts
    _remove_partial(path, with_bytes=False)
    return []


def _remove_partial(path: Path, *, with_bytes: bool) -> None:
    for place in path.parent.glob(f"{path.name}{PARTIAL}-*"):
        place.unlink(missing_ok=True)
    if with_bytes:
        partial_of(path).unlink(missing_ok=True)
