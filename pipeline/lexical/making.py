"""The passages of a segment -> the parts of its lexical index, many passages at a time.

In: a segment. Out: `Part`s, and the languages of its documents. Texts are cut at white space for whole batches at once;
the rules of `Analyzer` are asked once about each distinct piece; rows are counted by sorting pairs of term and row.
No word holds white space, so that the terms are those of `Analyzer.terms` over the whole text.
"""

from __future__ import annotations

import json
import string
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING

from pipeline.lexical.postings import LONGEST_ROW, MOST_FREQUENT, Part
from pipeline.lexical.words import DEFAULT_LANGUAGE, WORD_PUNCTUATION, Analyzer, language_of
from pipeline.store import Segment

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PART_ROWS = 65_536
"""Rows of a part: as many as 16 bits number."""
PART_BYTES = 8 * 2**20
"""Bytes of text after which a part ends: what is held in memory while one is made goes with it."""
SLAB_BYTES = 2**21
"""Bytes of text that are cut and counted together."""

_SPACE = ord(" ")
_APART = bytes(
    code if code >= 128 or chr(code) in string.ascii_letters + string.digits + WORD_PUNCTUATION else _SPACE
    for code in range(256)
)
"""Every ASCII character that no word holds becomes a space; bytes of other characters stay as they are."""


@dataclass(frozen=True, slots=True, eq=False)
class _Slab:
    """Some neighbouring rows: of each the headings and title it stands under, its language and its text."""

    contexts: list[str]
    languages: list[str]
    texts: pa.Array

    @property
    def bytes(self) -> int:
        return _bytes(self.texts) + sum(map(len, self.contexts))


class Analyzers(dict[str, Analyzer]):
    """An `Analyzer` for each language, made when it is first asked for."""

    def __missing__(self, language: str) -> Analyzer:
        return self.setdefault(language, Analyzer(language))


def make_parts(segment: Segment, languages: set[str], analyzers: Analyzers) -> Iterator[Part]:
    """Makes the parts one after the other; `languages` is filled as they are met."""
    maker = _PartMaker(0, analyzers)
    for slab in _slabs(segment):
        languages.update(slab.languages)
        if maker.rows + len(slab.texts) > PART_ROWS or maker.bytes >= PART_BYTES:
            yield maker.part()
            maker = _PartMaker(maker.first_row + maker.rows, analyzers)
        maker.add(slab)
    if maker.rows:
        yield maker.part()


def languages_of(segment: Segment) -> set[str]:
    """The languages of the documents of a segment that have rows."""
    return {language for _, language, _ in _document_rows(segment)}


def _slabs(segment: Segment) -> Iterator[_Slab]:
    """The rows in order, in each slab no more than a part may have."""
    documents = _document_rows(segment)
    title, language, end = "", "", -1
    contexts, languages, texts = list[str](), list[str](), list["pa.Array"]()
    row = held = 0
    for batch in segment.passage_batches("heading_path", "text"):
        for heading_path in batch.column("heading_path").to_pylist():
            while row >= end:
                title, language, end = next(documents, ("", DEFAULT_LANGUAGE, segment.record.rows))
            contexts.append("\n".join(heading_path if title in heading_path else [title, *heading_path]))
            languages.append(language)
            row += 1
        column = batch.column("text")
        texts.append(column)
        held += _bytes(column)
        while texts and (held >= SLAB_BYTES or len(contexts) >= PART_ROWS or row == segment.record.rows):
            slab, contexts, languages, texts = _split(contexts, languages, texts)
            yield slab
            held = 0


def _split(
    contexts: list[str], languages: list[str], texts: list[pa.Array]
) -> tuple[_Slab, list[str], list[str], list[pa.Array]]:
    """The first rows, as many as a part may have, and the others."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    whole = pa.concat_arrays(texts)
    slab = _Slab(contexts[:PART_ROWS], languages[:PART_ROWS], whole[:PART_ROWS])
    rest = [whole[PART_ROWS:]] if len(whole) > PART_ROWS else []
    return slab, contexts[PART_ROWS:], languages[PART_ROWS:], rest


def _document_rows(segment: Segment) -> Iterator[tuple[str, str, int]]:
    """Title, language and the row after the last, of the documents of a segment in order of their rows."""
    for batch in segment.document_batches("title", "metadata", "first_row", "rows"):
        columns = (batch.column(name).to_pylist() for name in ("title", "metadata", "first_row", "rows"))
        for title, metadata, first_row, rows in zip(*columns, strict=True):
            if rows:
                yield title, language_of(json.loads(metadata).get("language")), first_row + rows


class _PartMaker:
    """Collects rows until they are enough for a part."""

    def __init__(self, first_row: int, analyzers: Analyzers) -> None:
        self.first_row = first_row
        self.rows = 0
        self.bytes = 0
        self._analyzers = analyzers
        self._numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self._terms_of: defaultdict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
        self._lengths: list[NDArray[np.intp]] = []
        self._counted: list[NDArray[np.uint64]] = []

    def add(self, slab: _Slab) -> None:
        import numpy as np  # noqa: PLC0415 - heavy
        import pyarrow as pa  # noqa: PLC0415 - heavy

        size = len(slab.contexts)
        pieces, rows = _pieces(pa.concat_arrays([slab.texts, pa.array(slab.contexts, pa.string())]))
        rows %= size
        terms, rows = self._expanded(pieces, rows, slab.languages)
        self._lengths.append(np.bincount(rows, minlength=size))
        keys, often = np.unique(terms << np.uint64(16) | (rows + self.rows).astype(np.uint64), return_counts=True)
        self._counted.append(keys << np.uint64(8) | np.minimum(often, MOST_FREQUENT).astype(np.uint64))
        self.rows += size
        self.bytes += slab.bytes

    def _expanded(
        self, pieces: pa.DictionaryArray, rows: NDArray[np.intp], languages: list[str]
    ) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
        """Numbers of the terms of all pieces, and the row of each."""
        import numpy as np  # noqa: PLC0415 - heavy

        codes, distinct = pieces.indices.to_numpy(), pieces.dictionary.to_pylist()
        present = sorted(set(languages))
        if len(present) == 1:
            return _repeated(self._numbered(distinct, present[0]), codes, rows)
        language_of_row = np.array([present.index(language) for language in languages])
        found: list[tuple[NDArray[np.uint64], NDArray[np.intp]]] = []
        for number, language in enumerate(present):
            chosen = language_of_row[rows] == number
            used, inner = np.unique(codes[chosen], return_inverse=True)
            numbered = self._numbered([distinct[code] for code in used], language)
            found.append(_repeated(numbered, inner, rows[chosen]))
        return np.concatenate([terms for terms, _ in found]), np.concatenate([rows for _, rows in found])

    def _numbered(self, pieces: list[str], language: str) -> list[tuple[int, ...]]:
        """Of each piece of text the numbers of its terms."""
        known, terms_of = self._terms_of[language], self._analyzers[language].terms_of_piece
        number = self._numbers.__getitem__
        for piece in pieces:
            if piece not in known:
                known[piece] = tuple(map(number, terms_of(piece)))
        return list(map(known.__getitem__, pieces))

    def part(self) -> Part:
        import numpy as np  # noqa: PLC0415 - heavy
        import pyarrow as pa  # noqa: PLC0415 - heavy

        terms = sorted(self._numbers)
        place = np.empty(len(terms), np.uint64)
        place[[self._numbers[term] for term in terms]] = np.arange(len(terms), dtype=np.uint64) << np.uint64(24)
        counted = np.concatenate(self._counted)
        self._counted.clear()
        counted = place[counted >> np.uint64(24)] | (counted & np.uint64(0xFF_FF_FF))
        counted.sort()
        offsets = np.searchsorted(counted, np.arange(len(terms) + 1, dtype=np.uint64) << np.uint64(24))
        return Part(
            first_row=self.first_row,
            lengths=np.minimum(np.concatenate(self._lengths), LONGEST_ROW).astype(np.uint16),
            terms=pa.array(terms, pa.string()),
            offsets=offsets.astype(np.int32),
            rows=(counted >> np.uint64(8)).astype(np.uint16),
            frequencies=counted.astype(np.uint8),
        )


def _pieces(texts: pa.Array) -> tuple[pa.DictionaryArray, NDArray[np.intp]]:
    """All that stands between white space in `texts`, in order, and the number of the text of each."""
    import numpy as np  # noqa: PLC0415 - heavy
    import pyarrow as pa  # noqa: PLC0415 - heavy

    _, offsets, content = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    whole = memoryview(content) if content is not None else memoryview(b"")
    data = np.frombuffer(bytes(whole[bounds[0] : bounds[-1]]).translate(_APART), np.uint8)
    bounds = bounds - bounds[0]
    within = data != _SPACE
    begins = within.copy()
    begins[1:] &= ~within[:-1]
    # A text begins a piece even where the one before ends without white space.
    firsts = bounds[:-1][bounds[:-1] < len(data)]
    begins[firsts] = within[firsts]
    starts = np.flatnonzero(begins)
    rows = np.repeat(np.arange(len(texts)), np.diff(np.searchsorted(starts, bounds)))
    packed = data[within]
    places = np.append(np.flatnonzero(begins[within]), len(packed)).astype(np.int32)
    buffers = [None, pa.py_buffer(places), pa.py_buffer(packed)]
    return pa.Array.from_buffers(pa.string(), len(starts), buffers).dictionary_encode(), rows


def _repeated(
    numbered: list[tuple[int, ...]], codes: NDArray[np.intp], rows: NDArray[np.intp]
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """The terms of each code in order, with the row of the code."""
    import numpy as np  # noqa: PLC0415 - heavy

    sizes = np.fromiter(map(len, numbered), np.int64, len(numbered))
    flat = np.fromiter(chain.from_iterable(numbered), np.uint64, int(sizes.sum()))
    begins = np.cumsum(sizes) - sizes
    times = sizes[codes]
    ends = np.cumsum(times)
    total = int(ends[-1]) if len(ends) else 0
    at = np.arange(total) + np.repeat(begins[codes] - (ends - times), times)
    return flat[at], np.repeat(rows, times)


def _bytes(texts: pa.Array) -> int:
    import numpy as np  # noqa: PLC0415 - heavy

    offsets = np.frombuffer(texts.buffers()[1], np.int32)
    return int(offsets[texts.offset + len(texts)] - offsets[texts.offset])
