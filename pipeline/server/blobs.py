"""HEAD and POST /api/blobs/:digest: a file's bytes come in under their digest; the store has them then."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from pipeline.server.exchange import Refusal, Reply, Request
from pipeline.server.service import Service

ONE = "/api/blobs/"
INVALID_DIGEST = "invalid digest format"
MODE = 0o644


def has(service: Service, request: Request) -> Reply:
    digest, path = _named(service, request)
    if not path.is_file():
        raise Refusal(404, f"blob {json.dumps(digest)} not found")
    return Reply()


def take(service: Service, request: Request) -> Reply:
    """201 when the blob is new. The bytes go to the disk as they come, whatever their number."""
    digest, path = _named(service, request)
    if path.is_file():
        return Reply()
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix="sha256-")
    temporary = Path(name)
    try:
        found = hashlib.sha256()
        with _writing(path), os.fdopen(descriptor, "wb") as file:
            for piece in request.pieces():
                found.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if f"sha256:{found.hexdigest()}" != digest.replace("sha256-", "sha256:").lower():
            text = f'digest mismatch, expected {json.dumps(digest)}, got "sha256:{found.hexdigest()}"'
            raise Refusal(400, text)
        with _writing(path):
            temporary.chmod(MODE)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return Reply(status=201)


@contextlib.contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(500, f"write {path}: {(error.strerror or str(error)).lower()}") from error


def _named(service: Service, request: Request) -> tuple[str, Path]:
    digest = request.path.removeprefix(ONE)
    try:
        return digest, service.store.blob_path(digest)
    except ValueError as error:
        raise Refusal(400, INVALID_DIGEST) from error
