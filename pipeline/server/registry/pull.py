"""Pulling from a registry: a name comes in, lines of progress go out, and the model is in the store at the end."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.errors import WeightsUnavailable
from pipeline.server.exchange import Cancellation
from pipeline.server.models import ModelStore
from pipeline.server.registry.connection import Registry, RegistryError
from pipeline.server.registry.download import Download, finish
from pipeline.server.registry.manifest import MANIFEST_TYPE, NamedBlob, blobs_of
from pipeline.server.registry.reference import Reference, permitted
from pipeline.server.registry.transfer import Line, follow, progress


def pull_model(
    reference: Reference, store: ModelStore, *, insecure: bool, cancellation: Cancellation
) -> Iterator[Line]:
    """The real server's lines, in its order.

    Whoever pulls a blob that is under way already goes along with that download. Closing the iterator, or setting
    `cancellation`, ends it soon; what has come stays for the next time.
    Raises WeightsUnavailable, StorageUnwritable, RequestCanceled.
    """
    reference = permitted(reference, insecure=insecure)
    yield {"status": "pulling manifest"}
    with Registry(reference) as registry:
        try:
            headers = {"accept": MANIFEST_TYPE}
            tag = reference.name.tag
            _, manifest = registry.read("GET", f"manifests/{tag}", headers=headers, cancellation=cancellation)
            blobs = blobs_of(manifest)
        except WeightsUnavailable as error:
            cancellation.check()
            raise RegistryError(f"pull model manifest: {error.message}") from error
        for blob in blobs:
            yield from _pull(registry, store, blob, cancellation)
    yield {"status": "verifying sha256 digest"}
    for blob in blobs:
        path = store.blob_path(blob.digest)
        if not path.is_file():
            finish(path, blob.digest, cancellation)
    cancellation.check()
    yield {"status": "writing manifest"}
    unused = store.install(str(reference.name.short), manifest)
    if unused:
        yield {"status": "removing unused layers"}
        store.remove_unused(unused)
    yield {"status": "success"}


def _pull(registry: Registry, store: ModelStore, blob: NamedBlob, cancellation: Cancellation) -> Iterator[Line]:
    path = store.blob_path(blob.digest)
    if path.is_file():
        size = path.stat().st_size
        yield progress("pulling", blob.digest, size, size)
        return
    yield from follow(path, lambda: Download(registry.again(), blob.digest, blob.size, path), cancellation)
