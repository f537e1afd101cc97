"""The lexical index of one segment: for each term the rows that have it and how often, for each row its length.

In: parts as `making` makes them. Out: `SegmentTerms`, written as two Arrow files, mapped again.
It is derived from the segment alone, which never changes, so it is whole and right or it is not there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import CorruptCollection
from pipeline.lexical.words import ANALYSIS_VERSION
from pipeline.store import Layout, Segment
from pipeline.store.files import make_folder, open_table, reading, sync_folder, writing
from pipeline.store.layout import PASSAGES
from pipeline.store.manifest import SegmentRecord
from pipeline.store.sorted_strings import SortedStrings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FORMAT = 1
LEXICAL = "lexical"
TERMS = "terms.arrow"
LENGTHS = "lengths.arrow"

MOST_FREQUENT = 255
"""A term that is there more often counts as this often; from there on its score hardly rises."""
LONGEST_ROW = 65_535


@dataclass(frozen=True, eq=False)
class Part:
    """Some neighbouring rows of a segment, from `first_row`: `terms` ascending, their rows and frequencies.

    Of term `i`, positions [offsets[i], offsets[i + 1]) of `rows` (uint16, counted from `first_row`, ascending) and of
    `frequencies` (uint8). `lengths`, uint16, has the number of terms of each row.
    """

    first_row: int
    lengths: NDArray[np.uint16]
    terms: pa.Array
    offsets: NDArray[np.int32]
    rows: NDArray[np.uint16]
    frequencies: NDArray[np.uint8]

    def postings(self, term: bytes) -> tuple[NDArray[np.uint16], NDArray[np.uint8]] | None:
        """Rows that have `term`, in UTF-8, counted from `first_row`, and how often; None where none has it."""
        at = self._spelled.first_from(term)
        if at == len(self.terms) or self._spelled[at] != term:
            return None
        span = slice(int(self.offsets[at]), int(self.offsets[at + 1]))
        return self.rows[span], self.frequencies[span]

    @cached_property
    def _spelled(self) -> SortedStrings:
        return SortedStrings(self.terms)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTerms:
    """The lexical index of a segment: its parts in order of their rows, and the languages of its documents."""

    languages: frozenset[str]
    parts: tuple[Part, ...]


def segment_folder(layout: Layout, segment: SegmentRecord) -> Path:
    """Where a segment's lexical index is: named by the segment, by what is in it, and by the rules it is made by."""
    checksum = next(file.sha256 for file in segment.files if file.name == PASSAGES)
    return layout.root / LEXICAL / f"{segment.id}-{checksum[:16]}-{FORMAT}.{ANALYSIS_VERSION}"


def write_terms(layout: Layout, segment: Segment, parts: Iterator[Part], languages: Set[str]) -> None:
    """Writes the lexical index of a segment part by part, so that memory is bounded. Raises StorageUnwritable.

    `languages` need not be complete before the last part has been taken.
    """
    import pyarrow as pa  # noqa: PLC0415 - heavy

    folder = segment_folder(layout, segment.record)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    make_folder(temporary)
    try:
        with writing(folder):
            with (
                pa.OSFile(str(temporary / TERMS), "wb") as terms_sink,
                pa.OSFile(str(temporary / LENGTHS), "wb") as lengths_sink,
                pa.ipc.new_file(terms_sink, _terms_schema()) as terms_writer,
                pa.ipc.new_file(lengths_sink, _lengths_schema()) as lengths_writer,
            ):
                for part in parts:
                    terms_writer.write_batch(_terms_batch(part))
                    lengths_writer.write_batch(_lengths_batch(part))
            (temporary / "languages.json").write_text(json.dumps(sorted(languages)))
            for path in temporary.iterdir():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
            _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        # Another process was quicker, with the same content; or what was there before is damaged.
        damaged = folder.with_name(temporary.name + ".old")
        folder.rename(damaged)
        temporary.rename(folder)
        shutil.rmtree(damaged, ignore_errors=True)
    sync_folder(folder.parent)


def read_terms(layout: Layout, segment: Segment) -> SegmentTerms | None:
    """The lexical index of a segment as it is on disk, mapped; None where there is none, or none that is sound."""
    folder = segment_folder(layout, segment.record)
    try:
        languages = frozenset(json.loads((folder / "languages.json").read_bytes()))
        parts = tuple(_mapped_parts(folder))
    except (OSError, ValueError, CorruptCollection):
        return None
    rows = sum(len(part.lengths) for part in parts)
    return SegmentTerms(languages=languages, parts=parts) if rows == segment.record.rows else None


def _mapped_parts(folder: Path) -> Iterator[Part]:
    terms, lengths = open_table(folder / TERMS), open_table(folder / LENGTHS)
    first = 0
    with reading(folder / TERMS):
        if terms.num_record_batches != lengths.num_record_batches:
            raise ValueError("its two files do not belong together")
        for number in range(terms.num_record_batches):
            part = _part(terms.get_batch(number), lengths.get_batch(number), first)
            first += len(part.lengths)
            yield part


def _part(terms: pa.RecordBatch, lengths: pa.RecordBatch, first_row: int) -> Part:
    rows, frequencies = terms.column("rows"), terms.column("frequencies")
    offsets = rows.offsets.to_numpy()
    part = Part(
        first_row=first_row,
        lengths=lengths.column("length").to_numpy(),
        terms=terms.column("term"),
        offsets=offsets,
        rows=rows.values.to_numpy(),
        frequencies=frequencies.values.to_numpy(),
    )
    if len(offsets) and not len(part.rows) == len(part.frequencies) == offsets[-1]:
        raise ValueError("its columns do not belong together")
    return part


def _terms_schema() -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    return pa.schema([("term", pa.string()), ("rows", pa.list_(pa.uint16())), ("frequencies", pa.list_(pa.uint8()))])


def _lengths_schema() -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    return pa.schema([("length", pa.uint16())])


def _terms_batch(part: Part) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    lists = [
        pa.ListArray.from_arrays(pa.array(part.offsets), pa.array(values)) for values in (part.rows, part.frequencies)
    ]
    return pa.record_batch([part.terms, *lists], schema=_terms_schema())


def _lengths_batch(part: Part) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    return pa.record_batch([pa.array(part.lengths)], schema=_lengths_schema())
