"""The maps that were looked at last, held in memory: every hover of the page asks for passages of one."""

from __future__ import annotations

import threading

from pipeline.map import CollectionMap, find_map
from pipeline.store import Snapshot

KEPT = 4


class Maps:
    """One map a collection, as long as the collection is what it was. Safe from any number of threads."""

    def __init__(self) -> None:
        self._kept: dict[str, CollectionMap] = {}
        self._lock = threading.Lock()

    def find(self, snapshot: Snapshot) -> CollectionMap | None:
        """The map of exactly what the snapshot shows, if it has been made."""
        with self._lock:
            kept = self._kept.get(snapshot.name)
        if kept is not None and kept.snapshot.manifest == snapshot.manifest:
            return kept
        found = find_map(snapshot)
        if found is not None:
            self.keep(found)
        return found

    def keep(self, made: CollectionMap) -> None:
        """Holds a map; of more than a few collections the one that was put here first is let go."""
        with self._lock:
            self._kept.pop(made.snapshot.name, None)
            self._kept[made.snapshot.name] = made
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
