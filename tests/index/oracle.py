"""Brute force, and collections of given vectors to hold it against."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.index import IndexFacts, RowHit, build_index
from pipeline.store import CollectionWriter, Layout, PassingVectors, SegmentBuilder, Snapshot
from tests import make

Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]


def collection(
    home: Path, segments: Sequence[Matrix], *, each: int = 1, dead: Sequence[tuple[int, int]] = ()
) -> Snapshot:
    """A collection with a segment for each matrix, in documents of `each` rows; those that start at the rows `dead`
    (segment, row) are retired."""
    dimension = segments[0].shape[1]
    layout = Layout.of(home, "notes")
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(dimension), {})
        for number, matrix in enumerate(segments):
            builder = SegmentBuilder(dimension)
            for first in range(0, len(matrix), each):
                path, vectors = f"/{number}/{first}", list(matrix[first : first + each])
                chunks = [make.chunk(f"{path} {at}", document_id=path, start=at) for at in range(len(vectors))]
                builder.add(make.document_row(path), chunks, vectors)
            writer.commit(builder)
        if dead:
            paths = {f"/{number}/{row}" for number, row in dead}
            assert writer.snapshot is not None
            retired = [item for item in writer.snapshot.documents() if item.row.path in paths]
            writer.commit(SegmentBuilder(dimension), retired=retired)
    return Snapshot.open(layout)


def brute_force(
    segments: Sequence[Matrix], query: Matrix, k: int, allowed: Sequence[Mask | None] | None = None
) -> list[tuple[int, int]]:
    """Segment and row of the `k` allowed rows of highest inner product, summed without rounding; ties by place."""
    masks = allowed or [None] * len(segments)
    scored = [
        (-math.fsum(float(x) * float(y) for x, y in zip(vector, query, strict=True)), number, row)
        for number, (matrix, mask) in enumerate(zip(segments, masks, strict=True))
        for row, vector in enumerate(matrix)
        if mask is None or mask[row]
    ]
    return [(number, row) for _, number, row in sorted(scored)[:k]]


def places(hits: list[RowHit]) -> list[tuple[int, int]]:
    return [(hit.segment, hit.row) for hit in hits]


def clustered_rows(count: int, dimension: int, *, seed: int, clusters: int = 40) -> Matrix:
    """Unit rows around common centres, whose numbers shrink from dimension to dimension, as those of text models do."""
    centres = np.random.default_rng(1).standard_normal((clusters, dimension))
    random = np.random.default_rng(seed)
    scale = (1 + np.arange(dimension)) ** -0.5
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((dimension, dimension)))[0]
    rows = (centres[random.integers(0, clusters, count)] + random.standard_normal((count, dimension))) * scale
    rows = rows @ turn + 0.5 * turn[0]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def index_of(rows: Matrix, folder: Path, index: Path) -> IndexFacts:
    """Builds the `index` of rows, which are read from a file in `folder` as those of a segment are."""
    path = folder / "rows"
    path.write_bytes(rows.tobytes())
    return build_index(PassingVectors(path, 0, (len(rows), rows.shape[1])), index)
