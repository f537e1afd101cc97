"""What a run has to know of the documents that a collection holds, in some forty bytes a document.

In: a snapshot, and the spans of paths that the run can come by. Out: a document's size, time and place by its path; the
rest stays on disk and is read when it is needed. The paths are kept as hashes of 120 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.store.paths import EVERYTHING, PathTable, Span, joined, rows_in
from pipeline.store.segment import Segment, StoredDocument
from pipeline.store.snapshot import Snapshot

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

KEY = "S16"
PLACE = [("size", "i8"), ("mtime_ns", "i8"), ("segment", "u4"), ("row", "u4"), ("seen", "?")]
"""`row` is that of the segment's path table."""


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
    """The live documents of a snapshot whose paths lie in `spans`, by path, and which of them have been seen.

    What lies elsewhere is neither read nor known, so that a run over few paths costs the same in any collection.
    Raises CorruptCollection.
    """

    def __init__(self, snapshot: Snapshot | None, spans: Iterable[Span] = (EVERYTHING,)) -> None:
        import numpy as np  # noqa: PLC0415 - heavy

        spans = joined(spans)
        self._segments: tuple[Segment, ...] = snapshot.segments if snapshot else ()
        self._tables: list[PathTable] = []
        keys, places = [np.empty(0, KEY)], [np.empty(0, PLACE)]
        for number, segment in enumerate(self._segments):
            table = segment.path_table()
            rows = _live(segment, table, rows_in(spans, table.paths))
            place = np.zeros(len(rows), PLACE)
            place["size"], place["mtime_ns"] = table.sizes[rows], table.times[rows]
            place["segment"], place["row"] = number, rows
            keys.append(np.fromiter(map(_key, table.paths_of(rows)), KEY, len(rows)))
            places.append(place)
            self._tables.append(table)
        together = np.concatenate(keys)
        order = np.argsort(together, kind="stable")
        self._keys: NDArray[np.bytes_] = together[order]
        self._places: NDArray[np.void] = np.concatenate(places)[order]
        if snapshot is not None and snapshot.touched is not None and len(self._keys):
            self._touch(snapshot.touched, spans)

    def __len__(self) -> int:
        return len(self._keys)

    def see(self, path: str) -> KnownDocument | None:
        """The document at `path`, which counts as seen from now on."""
        index = self._index(path)
        if index is None:
            return None
        self._places["seen"][index] = True
        return self._document(index)

    def unseen(self) -> Iterator[tuple[str, KnownDocument]]:
        """Documents that have not been seen, with their paths: segment by segment, in the order of the paths."""
        import numpy as np  # noqa: PLC0415 - heavy

        for number, table in enumerate(self._tables):
            indices = np.flatnonzero((self._places["segment"] == number) & ~self._places["seen"])
            indices = indices[np.argsort(self._places["row"][indices])]
            paths = table.paths_of(self._places["row"][indices])
            for index, path in zip(indices.tolist(), paths, strict=True):
                yield path, self._document(index)

    def _touch(self, touched: pa.Table, spans: Sequence[Span]) -> None:
        """Takes over the newer times of what is known."""
        import numpy as np  # noqa: PLC0415 - heavy

        ordered = touched.sort_by("path").combine_chunks()
        near = ordered.take(rows_in(spans, ordered.column("path").combine_chunks()))
        keys = np.fromiter(map(_key, near.column("path").to_pylist()), KEY, near.num_rows)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found = self._keys[at] == keys
        for name in ("size", "mtime_ns"):
            self._places[name][at[found]] = near.column(name).to_numpy()[found]

    def _index(self, path: str) -> int | None:
        import numpy as np  # noqa: PLC0415 - heavy

        key = _key(path)
        index = int(np.searchsorted(self._keys, key, side="right")) - 1
        return index if index >= 0 and self._keys[index] == key else None

    def _document(self, index: int) -> KnownDocument:
        place = self._places[index]
        number = int(place["segment"])
        return KnownDocument(
            size=int(place["size"]),
            mtime_ns=int(place["mtime_ns"]),
            segment=self._segments[number],
            position=int(self._tables[number].positions[place["row"]]),
        )


def _live(segment: Segment, table: PathTable, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Those of `rows` whose documents still count."""
    import numpy as np  # noqa: PLC0415 - heavy

    dead = segment.deleted.documents
    if not len(dead) or not len(rows):
        return rows
    positions = table.positions[rows]
    at = np.minimum(np.searchsorted(dead, positions), len(dead) - 1)
    return rows[dead[at] != positions]


def _key(path: str) -> bytes:
    # NumPy drops zero bytes at the end of a string, so a key never ends in one.
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=15).digest() + b"."
