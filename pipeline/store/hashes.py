"""The rows of a segment by the content hash of what was embedded, so that a text's vector is found again.

In: the hashes of the rows in order. Out: a table in the order of their keys, to be written beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def hash_table(content_hashes: Iterable[bytes]) -> pa.Table:
    """Rows by content hash, ascending; `content_hashes` gives those of the rows in order, one or several at a time."""
    import numpy as np  # noqa: PLC0415 - heavy
    import pyarrow as pa  # noqa: PLC0415 - heavy

    hashes = np.frombuffer(b"".join(content_hashes), dtype="V16")
    keys = np.ascontiguousarray(hashes.view("<u8").reshape(-1, 2)[:, 0])
    order = np.argsort(keys, kind="stable")
    return pa.table(
        {
            "key": pa.array(keys[order], pa.uint64()),
            "row": pa.array(order.astype(np.uint32), pa.uint32()),
            "content_hash": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), len(hashes), [None, pa.py_buffer(hashes[order])]
            ),
        }
    )
