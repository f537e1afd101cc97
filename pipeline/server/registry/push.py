"""Pushing to a registry: a stored model's name comes in, lines of progress go out; the registry has it then."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.server.exchange import Cancellation
from pipeline.server.models import ModelStore
from pipeline.server.registry.connection import NotThere, Registry, RegistryError
from pipeline.server.registry.manifest import MANIFEST_TYPE, NamedBlob, blobs_of
from pipeline.server.registry.reference import Reference, permitted
from pipeline.server.registry.transfer import Line, follow, progress
from pipeline.server.registry.upload import Upload


def push_model(
    reference: Reference, store: ModelStore, *, insecure: bool, cancellation: Cancellation
) -> Iterator[Line]:
    """The real server's lines, in its order. The manifest goes last, as it stands in the store.

    Raises WeightsUnavailable, RequestCanceled.
    """
    yield {"status": "retrieving manifest"}
    reference = permitted(reference, insecure=insecure)
    manifest = store.manifest(reference.name.short)
    if manifest is None:
        yield {"status": "couldn't retrieve manifest"}
        path = store.manifests / reference.name.path
        raise RegistryError(f"open {path}: no such file or directory")
    with Registry(reference) as registry:
        for blob in blobs_of(manifest):
            yield from _push(registry, store, blob, cancellation)
        yield {"status": "pushing manifest"}
        headers = {"content-type": MANIFEST_TYPE}
        url = f"manifests/{reference.name.tag}"
        registry.read("PUT", url, headers=headers, content=manifest, cancellation=cancellation)
    yield {"status": "success"}


def _push(registry: Registry, store: ModelStore, blob: NamedBlob, cancellation: Cancellation) -> Iterator[Line]:
    path = store.blob_path(blob.digest)
    if not path.is_file():
        raise RegistryError(f"open {path}: no such file or directory")
    try:
        registry.read("HEAD", f"blobs/{blob.digest}", cancellation=cancellation)
    except NotThere:
        key = (registry.base_url, blob.digest)
        yield from follow(key, lambda: Upload(registry.again(), blob, path), cancellation)
    else:
        yield progress("pushing", blob.digest, blob.size, blob.size)
