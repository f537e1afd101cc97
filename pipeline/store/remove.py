"""Removes a collection from disk, damaged or not. In: its layout. Out: nothing is left of it."""

from __future__ import annotations

import shutil

from pipeline.errors import CollectionNotFound
from pipeline.store.files import writing
from pipeline.store.layout import Layout
from pipeline.store.lock import WriterLock


def remove_content(layout: Layout) -> None:
    """Removes all but the lock, manifests first, so that a removal that is cut short leaves no half collection."""
    for manifest in sorted(layout.root.glob("manifest-*.json")):
        manifest.unlink()
    for path in layout.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != layout.lock:
            path.unlink()


def require_folder(layout: Layout) -> None:
    """Raises CollectionNotFound where there is nothing of the collection, not even a damaged one."""
    if not layout.root.is_dir():
        raise CollectionNotFound(
            f"there is no collection {layout.name!r}", hint="see what there is: pipeline collections list"
        )


def remove_collection(layout: Layout) -> None:
    """Raises CollectionNotFound, CollectionLocked or StorageUnwritable."""
    require_folder(layout)
    lock = WriterLock(layout.lock)
    try:
        with writing(layout.root):
            remove_content(layout)
            shutil.rmtree(layout.root)
    finally:
        lock.release()
