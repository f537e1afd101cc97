"""What a run has to know of every document that a collection holds, in some forty bytes a document.

In: a snapshot. Out: a document's size, time and place by its path; the rest stays on disk and is read when it is
needed. The paths are kept as hashes of 120 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.store.segment import Segment, StoredDocument
from pipeline.store.snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY = "S16"
PLACE = [("size", "i8"), ("mtime_ns", "i8"), ("segment", "u4"), ("position", "u4"), ("seen", "?")]


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """The file as it was seen last (`mtime_ns` 0: its time is not to be trusted), and where its document is."""

    size: int
    mtime_ns: int
    segment: Segment
    position: int

    def load(self) -> StoredDocument:
        """All that is stored of it, as it was stored. Raises CorruptCollection."""
        return self.segment.stored_document(self.position)


class KnownDocuments:
    """The live documents of a snapshot by path, and which of them have been seen."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        import numpy as np  # noqa: PLC0415 - heavy

        self._segments: tuple[Segment, ...] = snapshot.segments if snapshot else ()
        keys, places = [np.empty(0, KEY)], [np.empty(0, PLACE)]
        for number, segment in enumerate(self._segments):
            assert snapshot is not None
            live = segment.live_documents
            paths, sizes, times = snapshot.times(segment)
            keys.append(np.array([_key(path) for path in paths.take(live).to_pylist()], KEY))
            place = np.zeros(len(live), PLACE)
            place["size"], place["mtime_ns"] = sizes[live], times[live]
            place["segment"], place["position"] = number, live
            places.append(place)
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        self._keys: NDArray[np.bytes_] = joined[order]
        self._places: NDArray[np.void] = np.concatenate(places)[order]

    def __len__(self) -> int:
        return len(self._keys)

    def see(self, path: str) -> KnownDocument | None:
        """The document at `path`, which counts as seen from now on."""
        import numpy as np  # noqa: PLC0415 - heavy

        key = _key(path)
        index = int(np.searchsorted(self._keys, key, side="right")) - 1
        if index < 0 or self._keys[index] != key:
            return None
        self._places["seen"][index] = True
        return self._document(index)

    def unseen(self) -> Iterator[tuple[str, KnownDocument]]:
        """Documents that have not been seen, with their paths, in the order in which they are stored."""
        import numpy as np  # noqa: PLC0415 - heavy

        for number, segment in enumerate(self._segments):
            indices = np.flatnonzero((self._places["segment"] == number) & ~self._places["seen"])
            by_position = np.full(segment.record.documents, -1)
            by_position[self._places["position"][indices]] = indices
            if len(indices):
                for index, path in zip(by_position, _paths(segment), strict=True):
                    if index >= 0:
                        yield path, self._document(int(index))

    def _document(self, index: int) -> KnownDocument:
        place = self._places[index]
        return KnownDocument(
            size=int(place["size"]),
            mtime_ns=int(place["mtime_ns"]),
            segment=self._segments[place["segment"]],
            position=int(place["position"]),
        )


def _paths(segment: Segment) -> Iterator[str]:
    for batch in segment.document_batches("path"):
        yield from batch.column("path").to_pylist()


def _key(path: str) -> bytes:
    # NumPy drops zero bytes at the end of a string, so a key never ends in one.
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=15).digest() + b"."
