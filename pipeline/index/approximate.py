"""The approximate index of one large segment: one bit a dimension finds candidates, the mapped vectors score them.

In: the vectors of a segment, mapped. Out: a FAISS file, and the `IndexFacts` for the manifest; candidates for queries.
The file is rebuildable from the vectors and never the only copy of anything.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.cores import available_cores
from pipeline.errors import CorruptCollection
from pipeline.index.faiss_library import faiss_threads, load_faiss
from pipeline.index.ranking import Ranking
from pipeline.store.files import writing
from pipeline.types import IndexFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.store import PassingVectors

KIND = "rabitq-1bit-fastscan"
FORMAT = 1

WORTH_AN_INDEX = 16_384
"""Rows from which on a segment is worth an index; an exact scan of fewer takes one or two milliseconds."""

GOAL = 0.998
NEIGHBOURS = 10
"""Recall is measured for the ten nearest: how many of them are among the candidates."""

LADDER = (50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000)
"""Numbers of candidates that are chosen from."""

NOISE = 1.5
"""Norm of the noise that makes a query of a sampled row, whose cosine similarity to it is then 0.55: as far apart as
questions and the passages that answer them, and needing as many candidates (measured, docs/search-index.md)."""

SAMPLED = 100
AVERAGED = 16_384
"""Rows whose mean is the centre."""
BLOCK = 2048
"""Rows that are held at a time: FAISS needs as much again beside them. Of half as many its threads wait too long for
each other, where they share their cores with others (measured); more gain nothing."""

MOST_THREADS = 4


def build_index(vectors: PassingVectors, path: Path) -> IndexFacts:
    """Writes the index of `vectors`, which have unit rows, to `path`, and flushes it.

    Not atomic: rename or record it afterwards. Reads the vectors in blocks; beside them it needs the index itself, an
    eighth of a byte a number. The facts say whether it is good enough: see `IndexFacts.usable`.

    Raises StorageUnwritable; CorruptCollection for vectors that cannot be read; ValueError for none.
    """
    faiss = load_faiss()

    rows, dimension = vectors.shape
    if rows == 0:
        raise ValueError("there is nothing to index")
    # One list whose centre is the mean: the flat index of this kind refuses filters, and is no faster.
    centre = faiss.IndexFlatIP(dimension)
    centre.add(_mean(vectors))
    index = faiss.IndexIVFRaBitQFastScan(centre, dimension, 1, faiss.METRIC_INNER_PRODUCT)
    # With its one centre there is nothing to learn from the rows.
    index.train(vectors[:1])
    truth = _truth(vectors)
    with faiss_threads(min(MOST_THREADS, available_cores())):
        for block in vectors.blocks(BLOCK):
            index.add(block)
        candidates, recall = _calibrate(index, truth)
    return IndexFacts(
        kind=KIND,
        rows=rows,
        dimension=dimension,
        candidates=candidates,
        recall=recall,
        goal=GOAL,
        sampled=len(truth.queries),
        crc32=_write(index, path),
        library=f"faiss {faiss.__version__}",
        format=FORMAT,
    )


class ApproximateIndex:
    """An opened index, in memory: an eighth of a byte a number of the vectors."""

    def __init__(self, index: Any, facts: IndexFacts) -> None:
        self.facts = facts
        self._index = index

    @classmethod
    def open(cls, path: Path, facts: IndexFacts, *, rows: int, dimension: int, verified: bool = False) -> Self:
        """Raises CorruptCollection unless `path` is the file that `facts` tells of, for so many rows.

        FAISS gets to parse only what was written by it: `verified` says that the caller knows that already.
        """
        faiss = load_faiss()

        known = (facts.kind, facts.format) == (KIND, FORMAT)
        if not known or (facts.rows, facts.dimension) != (rows, dimension):
            raise _corrupt(path, f"is recorded as {facts.kind} {facts.format} of {facts.rows} x {facts.dimension}")
        if not verified and _crc32(path) != facts.crc32:
            raise _corrupt(path, "is not the file that was written")
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise _corrupt(path, f"is of no use to {faiss.__version__}: {error}") from error
        if not isinstance(index, faiss.IndexIVFRaBitQFastScan) or (index.ntotal, index.d) != (rows, dimension):
            raise _corrupt(path, "is the index of something else")
        return cls(index, facts)

    def candidates(
        self, queries: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Estimated scores and rows of the `count` allowed rows that seem nearest, each of shape (queries, count).

        Where fewer are allowed, the row is -1. `allowed` is a mask of shape (rows,).
        """
        faiss = load_faiss()

        with faiss_threads(1):
            if allowed is None:
                return self._index.search(queries, count)
            import numpy as np  # noqa: PLC0415 - heavy

            bitmap = np.packbits(allowed, bitorder="little")
            chosen = faiss.IDSelectorBitmap(bitmap)
            parameters = faiss.IVFRaBitQSearchParameters(sel=chosen, nprobe=1, qb=self._index.qb)
            return self._index.search(queries, count, params=parameters)


def _mean(vectors: PassingVectors) -> NDArray[np.float32]:
    """The mean of a sample of rows, shape (1, dimension)."""
    import numpy as np  # noqa: PLC0415 - heavy

    rows, dimension = vectors.shape
    step = max(1, rows // AVERAGED)
    total = np.zeros(dimension, np.float64)
    for start in range(0, rows, BLOCK * step):
        total += vectors[start : start + BLOCK * step : step].sum(axis=0, dtype=np.float64)
    return (total / len(range(0, rows, step))).astype(np.float32)[None, :]


def _sample(vectors: PassingVectors) -> NDArray[np.float32]:
    """Queries to measure recall with: rows with noise, shape (`SAMPLED`, dimension) or as many as there are rows."""
    import numpy as np  # noqa: PLC0415 - heavy

    rows, dimension = vectors.shape
    random = np.random.default_rng(rows)
    chosen = np.sort(random.choice(rows, min(SAMPLED, rows), replace=False))
    noise = random.standard_normal((len(chosen), dimension), np.float32)
    noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    queries = vectors[chosen] + noise
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return queries


def _truth(vectors: PassingVectors) -> Ranking:
    """The rows that are nearest to a sample of queries."""
    import numpy as np  # noqa: PLC0415 - heavy

    truth = Ranking(_sample(vectors), min(NEIGHBOURS, len(vectors)))
    transposed = np.ascontiguousarray(truth.queries.T)
    first = 0
    # Not while rows are added: the threads of numpy's products and those of FAISS would wait for each other.
    for block in vectors.blocks(BLOCK):
        truth.offer(0, vectors, np.arange(first, first + len(block)), block @ transposed)
        first += len(block)
    truth.settle(0, vectors)
    return truth


def _calibrate(index: Any, truth: Ranking) -> tuple[int, float]:
    """The fewest candidates that reach the goal, or else the most; their recall of the true neighbours."""
    import numpy as np  # noqa: PLC0415 - heavy

    rows: int = index.ntotal
    _, found = index.search(truth.queries, min(LADDER[-1], rows))
    ranks: list[int] = []
    for best, seen in zip(truth.best, found, strict=True):
        rank: dict[int, int] = {row: at for at, row in enumerate(seen.tolist())}
        ranks.extend(rank.get(row, rows) for row in best.rows.tolist())
    recalls = [float(np.mean(np.array(ranks) < count)) for count in LADDER]
    at = next((at for at, recall in enumerate(recalls) if recall >= GOAL), len(LADDER) - 1)
    return LADDER[at], recalls[at]


def _write(index: Any, path: Path) -> int:
    """Writes and flushes the file; its CRC-32. Raises StorageUnwritable."""
    faiss = load_faiss()

    checksum = 0
    with writing(path), path.open("wb") as file:

        def take(piece: bytes) -> int:
            nonlocal checksum
            checksum = zlib.crc32(piece, checksum)
            return file.write(piece)

        faiss.write_index(index, faiss.PyCallbackIOWriter(take))
        file.flush()
        os.fsync(file.fileno())
    return checksum


def _crc32(path: Path) -> int:
    """Raises CorruptCollection."""
    import numpy as np  # noqa: PLC0415 - heavy

    try:
        return zlib.crc32(np.memmap(path, np.uint8, mode="r").data)
    except (OSError, ValueError) as error:
        raise _corrupt(path, f"cannot be read: {error}") from error


def _corrupt(path: Path, what: str) -> CorruptCollection:
    return CorruptCollection(f"the index {path} {what}", hint="build it again: pipeline collections optimize")
