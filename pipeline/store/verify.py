"""Looks at every byte of a collection: is it what was committed, and does it hang together?

In: a collection's layout. Out: the problems found, each with the file it is in; none if all is well. Unlike a reader it
trusts no file that was verified before, and goes on after a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CollectionNotFound, CorruptCollection, EmbeddingError
from pipeline.store.files import FileRecord, damaged, require_size, sha256_of
from pipeline.store.layout import DERIVED, DOCUMENTS, HASHES, INDEX_SUFFIX, PASSAGES, PATHS, VECTORS, Layout
from pipeline.store.lease import Lease
from pipeline.store.manifest import Manifest, SegmentRecord, read_manifest
from pipeline.store.paths import PathTable
from pipeline.store.segment import Segment
from pipeline.store.verified import VerifiedFiles

ROWS_AT_ONCE = 8192
NORM_TOLERANCE = 1e-3
"""How far from 1 the length of a stored vector may be: float32 sums of a few thousand squares are well within."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`derived`: the file follows from others, and the next command that writes makes it again."""

    path: str
    error: str
    derived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was looked at, and what is wrong with it."""

    files: int
    bytes: int
    problems: tuple[Problem, ...]


def verify_collection(layout: Layout, *, on_bytes: Callable[[int, int], None] | None = None) -> Verification:
    """Reads every file of the newest generation; `on_bytes(done, total)` is told how far it has come.

    Raises CollectionNotFound.
    """
    generations = layout.generations()
    if not generations:
        raise CollectionNotFound(
            f"there is no collection {layout.name!r}", hint="see what there is: pipeline collections list"
        )
    try:
        lease = Lease(layout.manifest(generations[0]))
        manifest = read_manifest(layout, generations[0])
    except (CorruptCollection, FileNotFoundError) as error:
        problem = Problem(path=str(layout.manifest(generations[0])), error=str(error))
        return Verification(files=1, bytes=0, problems=(problem,))
    files = list(_files(layout, manifest))
    total = sum(record.bytes for _, record in files)
    problems: list[Problem] = []
    done = 0
    for folder, record in files:
        problems.extend(_file_problems(folder, record))
        done += record.bytes
        if on_bytes is not None:
            on_bytes(done, total)
    broken = {Path(problem.path).parent for problem in problems}
    for record in manifest.segments:
        if layout.segment(record.id) not in broken:
            problems.extend(_segment_problems(layout, manifest, record))
    lease.release()
    return Verification(files=len(files) + 1, bytes=total, problems=tuple(problems))


def _files(layout: Layout, manifest: Manifest) -> Iterator[tuple[Path, FileRecord]]:
    if manifest.touched:
        yield layout.root, manifest.touched
    for segment in manifest.segments:
        others = [segment.deleted, segment.index.file if segment.index else None]
        for record in (*segment.files, *others):
            if record is not None:
                yield layout.segment(segment.id), record


def _file_problems(folder: Path, record: FileRecord) -> Iterator[Problem]:
    path = folder / record.name
    try:
        require_size(path, record)
        if sha256_of(path) != record.sha256:
            raise damaged(path, record)
    except CorruptCollection as error:
        derived = record.name in DERIVED or path.suffix == INDEX_SUFFIX
        yield Problem(path=str(path), error=error.message, derived=derived)


def _segment_problems(layout: Layout, manifest: Manifest, record: SegmentRecord) -> Iterator[Problem]:
    """Whether the files of a segment, each of them as it was committed, fit together."""
    folder = layout.segment(record.id)
    model = manifest.model
    try:
        verified = VerifiedFiles(layout.verified)
        segment = Segment(layout, record, model=model.name, dimension=model.dimension, verified=verified)
        for name, check in (
            (VECTORS, _vector_problem),
            (DOCUMENTS, _document_problem),
            (HASHES, _hash_problem),
            (PATHS, _path_problem),
        ):
            if error := check(segment):
                yield Problem(path=str(folder / name), error=error)
    except (CorruptCollection, EmbeddingError) as error:
        yield Problem(path=str(folder), error=error.message)


def _vector_problem(segment: Segment) -> str:
    import numpy as np  # noqa: PLC0415 - heavy

    for first in range(0, segment.record.rows, ROWS_AT_ONCE):
        block = segment.vectors[first : first + ROWS_AT_ONCE]
        norms = np.sqrt(np.einsum("ij,ij->i", block, block))
        wrong = np.flatnonzero(~(np.abs(norms - 1) <= NORM_TOLERANCE))
        if len(wrong):
            return f"the vector of row {first + int(wrong[0])} has length {norms[wrong[0]]:.4g} instead of 1"
    return ""


def _document_problem(segment: Segment) -> str:
    import numpy as np  # noqa: PLC0415 - heavy

    dead = set(segment.deleted.documents.tolist())
    expected = np.ones(segment.record.rows, dtype=np.bool_)
    next_row = 0
    for document in segment.stored_documents():
        if document.first_row != next_row:
            return f"{document.row.path} starts at row {document.first_row} instead of {next_row}"
        next_row += document.rows
        if document.position in dead:
            expected[document.first_row : next_row] = False
    if next_row != segment.record.rows:
        return f"its documents account for {next_row} rows of {segment.record.rows}"
    if not np.array_equal(expected, segment.live_mask):
        return "rows count whose documents do not, or the other way round"
    return ""


def _hash_problem(segment: Segment) -> str:
    import numpy as np  # noqa: PLC0415 - heavy

    keys, rows, hashes = segment.hashes
    if (keys[1:] < keys[:-1]).any():
        return "it is not in order"
    stored = np.concatenate([np.empty(0, "V16"), *segment.hash_batches()])
    listed = np.empty_like(stored)
    listed[rows] = np.array(hashes.to_pylist(), dtype=stored.dtype)
    if len(np.unique(rows)) != len(stored) or not np.array_equal(listed, stored):
        return f"it does not agree with {PASSAGES}"
    return ""


def _path_problem(segment: Segment) -> str:
    import numpy as np  # noqa: PLC0415 - heavy

    listed, made = segment.path_table(), PathTable.of(segment.made_again(PATHS))
    columns = zip(listed.numbers, made.numbers, strict=True)
    if not listed.paths.equals(made.paths) or not all(np.array_equal(*pair) for pair in columns):
        return f"it does not agree with {DOCUMENTS}"
    return ""
