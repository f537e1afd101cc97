"""The lexical index of one segment: for each term the rows that have it and how often, for each row its length.

In: a segment's passages and documents. Out: `SegmentTerms`, made in memory, written as two Arrow files, mapped again.
It is derived from the segment alone, which never changes, so it is whole and right or it is not there.
"""

from __future__ import annotations

import json
import os
import shutil
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import CorruptCollection
from pipeline.lexical.words import ANALYSIS_VERSION, DEFAULT_LANGUAGE, Analyzer, language_of
from pipeline.store import Layout, Segment
from pipeline.store.files import make_folder, open_table, reading, sync_folder, writing
from pipeline.store.layout import PASSAGES
from pipeline.store.manifest import SegmentRecord

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FORMAT = 1
LEXICAL = "lexical"
TERMS = "terms.arrow"
LENGTHS = "lengths.arrow"

PART_ROWS = 65_536
"""Rows of a part: as many as 16 bits number."""
PART_CHARACTERS = 16 * 2**20
"""Characters of text after which a part ends: what is held in memory while one is made goes with it."""
MOST_FREQUENT = 255
"""A term that is there more often counts as this often; from there on its score hardly rises."""
LONGEST_ROW = 65_535


@dataclass(frozen=True, slots=True, eq=False)
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

    def postings(self, term: str) -> tuple[NDArray[np.uint16], NDArray[np.uint8]] | None:
        """Rows that have `term`, counted from `first_row`, and how often; None where none has it."""
        # Arrow compares strings as their UTF-8 bytes, Python by code point: the order is the same.
        at = bisect_left(range(len(self.terms)), term, key=self._term)
        if at == len(self.terms) or self._term(at) != term:
            return None
        span = slice(int(self.offsets[at]), int(self.offsets[at + 1]))
        return self.rows[span], self.frequencies[span]

    def _term(self, at: int) -> str:
        return self.terms[at].as_py()


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTerms:
    """The lexical index of a segment: its parts in order of their rows, and the languages of its documents."""

    languages: frozenset[str]
    parts: tuple[Part, ...]


def segment_folder(layout: Layout, segment: SegmentRecord) -> Path:
    """Where a segment's lexical index is: named by the segment, by what is in it, and by the rules it is made by."""
    checksum = next(file.sha256 for file in segment.files if file.name == PASSAGES)
    return layout.root / LEXICAL / f"{segment.id}-{checksum[:16]}-{FORMAT}.{ANALYSIS_VERSION}"


def make_terms(segment: Segment) -> SegmentTerms:
    """The lexical index of a segment, in memory."""
    languages: set[str] = set()
    parts = tuple(_parts(segment, languages))
    return SegmentTerms(languages=frozenset(languages), parts=parts)


def write_terms(layout: Layout, segment: Segment) -> None:
    """Writes the lexical index of a segment part by part, so that memory is bounded. Raises StorageUnwritable."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    folder = segment_folder(layout, segment.record)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    make_folder(temporary)
    languages: set[str] = set()
    try:
        with writing(folder):
            with (
                pa.OSFile(str(temporary / TERMS), "wb") as terms_sink,
                pa.OSFile(str(temporary / LENGTHS), "wb") as lengths_sink,
                pa.ipc.new_file(terms_sink, _terms_schema()) as terms_writer,
                pa.ipc.new_file(lengths_sink, _lengths_schema()) as lengths_writer,
            ):
                for part in _parts(segment, languages):
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


def _parts(segment: Segment, languages: set[str]) -> Iterator[Part]:
    """Makes the parts one after the other; `languages` is filled as they are met."""
    analyzers: dict[str, Analyzer] = {}
    maker = _PartMaker(0)
    for context, language, text in _texts(segment):
        languages.add(language)
        analyzer = analyzers.get(language) or analyzers.setdefault(language, Analyzer(language))
        maker.add(analyzer, context, text)
        if maker.rows == PART_ROWS or maker.characters >= PART_CHARACTERS:
            yield maker.part()
            maker = _PartMaker(maker.first_row + maker.rows)
    if maker.rows:
        yield maker.part()


def _texts(segment: Segment) -> Iterator[tuple[str, str, str]]:
    """Of each row in order: the headings and title it stands under, the language of its document, its text."""
    documents = _document_rows(segment)
    title, language, end = "", "", -1
    row = 0
    for batch in segment.passage_batches("heading_path", "text"):
        headings = batch.column("heading_path").to_pylist()
        for heading_path, text in zip(headings, batch.column("text").to_pylist(), strict=True):
            while row >= end:
                title, language, end = next(documents, ("", DEFAULT_LANGUAGE, segment.record.rows))
            context = heading_path if title in heading_path else [title, *heading_path]
            yield "\n".join(context), language, text
            row += 1


def _document_rows(segment: Segment) -> Iterator[tuple[str, str, int]]:
    """Title, language and the row after the last, of the documents of a segment in order of their rows."""
    for batch in segment.document_batches("title", "metadata", "first_row", "rows"):
        columns = (batch.column(name).to_pylist() for name in ("title", "metadata", "first_row", "rows"))
        for title, metadata, first_row, rows in zip(*columns, strict=True):
            if rows:
                yield title, language_of(json.loads(metadata).get("language")), first_row + rows


class _PartMaker:
    """Collects rows until they are enough for a part."""

    def __init__(self, first_row: int) -> None:
        self.first_row = first_row
        self.rows = 0
        self.characters = 0
        self._numbers: dict[str, int] = {}
        self._ids: list[NDArray[np.uint32]] = []

    def add(self, analyzer: Analyzer, *texts: str) -> None:
        import numpy as np  # noqa: PLC0415 - heavy

        numbers = self._numbers
        found = chain.from_iterable(chain.from_iterable(map(analyzer.terms, texts)))
        self._ids.append(np.array([numbers.setdefault(term, len(numbers)) for term in found], np.uint32))
        self.rows += 1
        self.characters += sum(map(len, texts))

    def part(self) -> Part:
        import numpy as np  # noqa: PLC0415 - heavy
        import pyarrow as pa  # noqa: PLC0415 - heavy

        terms = sorted(self._numbers)
        place = np.empty(len(terms), np.uint64)
        place[[self._numbers[term] for term in terms]] = np.arange(len(terms), dtype=np.uint64)
        counts = np.array([len(ids) for ids in self._ids], np.int64)
        ids = np.concatenate(self._ids) if self._ids else np.empty(0, np.uint32)
        self._ids.clear()
        keys = (place[ids] << np.uint64(16)) | np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
        keys, frequencies = np.unique(keys, return_counts=True)
        offsets = np.searchsorted(keys, np.arange(len(terms) + 1, dtype=np.uint64) << np.uint64(16))
        return Part(
            first_row=self.first_row,
            lengths=np.minimum(counts, LONGEST_ROW).astype(np.uint16),
            terms=pa.array(terms, pa.string()),
            offsets=offsets.astype(np.int32),
            rows=(keys & np.uint64(0xFFFF)).astype(np.uint16),
            frequencies=np.minimum(frequencies, MOST_FREQUENT).astype(np.uint8),
        )


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
