"""HEAD and POST /api/blobs/:digest: a file's bytes come in under their digest; the store has them then."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pipeline.server.exchange import Refusal, Reply, Request
from pipeline.server.service import Service

ONE = "/api/blobs/"
INVALID_DIGEST = "invalid digest format"


def has(service: Service, request: Request) -> Reply:
    digest, path = _named(service, request)
    if not path.is_file():
        raise Refusal(404, f"blob {json.dumps(digest)} not found")
    return Reply()


def take(service: Service, request: Request) -> Reply:
    """201 when the blob is new. The body is whole and in memory here, within the server's limit for bodies."""
    digest, path = _named(service, request)
    if path.is_file():
        return Reply()
    found = f"sha256:{hashlib.sha256(request.body).hexdigest()}"
    if found != digest:
        raise Refusal(400, f"digest mismatch, expected {json.dumps(digest)}, got {json.dumps(found)}")
    service.store.add_blob(request.body)
    return Reply(status=201)


def _named(service: Service, request: Request) -> tuple[str, Path]:
    digest = request.path.removeprefix(ONE)
    try:
        return digest, service.store.blob_path(digest)
    except ValueError as error:
        raise Refusal(400, INVALID_DIGEST) from error
