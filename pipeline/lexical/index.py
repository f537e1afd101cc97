"""BM25 over the rows of one snapshot, from the lexical indexes of its segments.

In: a snapshot, words. Out: a score for every row. What counts is what the snapshot shows: dead rows have no score and
no part in the statistics, so the scores of a collection do not depend on how it came to be.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.errors import StorageUnwritable
from pipeline.lexical.making import Analyzers, languages_of, make_parts
from pipeline.lexical.merging import merged_parts
from pipeline.lexical.postings import LEXICAL, Part, SegmentTerms, read_terms, segment_folder, write_terms
from pipeline.lexical.words import DEFAULT_LANGUAGE, Analyzer, word_pattern
from pipeline.store import Layout, Segment, Snapshot
from pipeline.store.manifest import kept_manifests

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

TERM_SATURATION = 1.2
LENGTH_INFLUENCE = 0.75
"""k1 and b of BM25, as Robertson and Zaragoza recommend (The Probabilistic Relevance Framework, 2009, 3.4)."""


@dataclass(frozen=True, slots=True)
class TermScore:
    """What one word of a query adds to the score of a row."""

    term: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A part and the number of its first row in the snapshot, all segments counted through."""

    part: Part
    first: int

    @property
    def rows(self) -> slice:
        return slice(self.first, self.first + len(self.part.lengths))


class LexicalIndex:
    """The lexical indexes of `segments` as one.

    Rows are numbered through the segments in order: row r of segment s is `starts[s] + r`.
    """

    def __init__(self, segments: Sequence[Segment], terms: Sequence[SegmentTerms]) -> None:
        self.segments = tuple(segments)
        self._terms = tuple(terms)
        self.starts: list[int] = [0]
        self._parts: list[_Placed] = []
        for segment, found in zip(segments, terms, strict=True):
            self._parts.extend(_Placed(part, self.starts[-1] + part.first_row) for part in found.parts)
            self.starts.append(self.starts[-1] + segment.record.rows)
        languages = {language for found in terms for language in found.languages} or {DEFAULT_LANGUAGE}
        self.analyzers = tuple(Analyzer(language) for language in sorted(languages))

    @classmethod
    def open(cls, snapshots: Sequence[Snapshot], previous: LexicalIndex | None = None) -> LexicalIndex:
        """The index of the segments of all `snapshots` together.

        What is missing on disk is made, and kept there if it can be. What `previous` has opened is not opened again.
        """
        segments = [segment for snapshot in snapshots for segment in snapshot.segments]
        if previous is not None and previous.segments == tuple(segments):
            return previous
        pairs = zip(previous.segments, previous._terms, strict=True) if previous is not None else ()
        opened = {(segment.id, segment.record.files): found for segment, found in pairs}
        return cls(
            segments,
            [
                opened.get((segment.id, segment.record.files)) or _terms_of(snapshot.layout, segment)
                for snapshot in snapshots
                for segment in snapshot.segments
            ],
        )

    @property
    def rows(self) -> int:
        """Rows of all segments, dead ones included."""
        return self.starts[-1]

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """Shape (rows,): whether each row still counts."""
        import numpy as np  # noqa: PLC0415 - heavy

        masks = [segment.live_mask for segment in self.segments]
        return np.concatenate(masks) if masks else np.empty(0, np.bool_)

    @cached_property
    def _live_rows(self) -> int:
        return int(self.live.sum())

    @cached_property
    def _damping(self) -> NDArray[np.float32]:
        """Shape (rows,): k1 * (1 - b + b * length / mean length) of each row."""
        import numpy as np  # noqa: PLC0415 - heavy

        lengths = np.empty(self.rows, np.float32)
        for placed in self._parts:
            lengths[placed.rows] = placed.part.lengths
        mean = float(lengths[self.live].mean(dtype=np.float64)) if self._live_rows else 1.0
        lengths *= np.float32(TERM_SATURATION * LENGTH_INFLUENCE / max(mean, 1.0))
        lengths += np.float32(TERM_SATURATION * (1 - LENGTH_INFLUENCE))
        return lengths

    def query_terms(self, text: str) -> dict[tuple[str, ...], int]:
        """The terms of a query with how often each is there; one word in several languages counts as one term."""
        counts: dict[tuple[str, ...], int] = {}
        for words in zip(*(analyzer.terms(text) for analyzer in self.analyzers), strict=True):
            # Languages differ in the endings that they take off, hardly ever in the number of terms.
            depth = max(map(len, words))
            for at in range(depth):
                variants = tuple(dict.fromkeys(terms[at] for terms in words if at < len(terms)))
                counts[variants] = counts.get(variants, 0) + 1
        return counts

    def scores(self, text: str) -> tuple[NDArray[np.float32], float]:
        """BM25 of every row for the words of `text`, and the most that any row could have.

        Shape (rows,), 0 where none of the words is there or the row is dead. The most is what a row would score that
        had every word, those that are nowhere included, over and over again.
        """
        import numpy as np  # noqa: PLC0415 - heavy

        total, most = np.zeros(self.rows, np.float32), 0.0
        for variants, count in self.query_terms(text).items():
            weight, rows, frequencies = self._weighed(variants)
            most += count * weight * (TERM_SATURATION + 1)
            added = self._saturated(rows, frequencies)
            added *= count * weight
            total[rows] += added
        if self._live_rows < self.rows:
            total[~self.live] = 0
        return total, most

    def explain(self, text: str, row: int) -> list[TermScore]:
        """What each term of `text` adds to the score of one row, most first; their sum is its score."""
        import numpy as np  # noqa: PLC0415 - heavy

        added: list[TermScore] = []
        for variants, count in self.query_terms(text).items():
            weight, rows, frequencies = self._weighed(variants)
            at = np.flatnonzero(rows == row)
            if len(at):
                score = float(count * weight * self._saturated(rows[at], frequencies[at])[0])
                added.append(TermScore("/".join(variants), score))
        return sorted(added, key=lambda item: -item.score)

    def telling_words(self, text: str, count: int) -> list[str]:
        """The words of `text` that tell it most from other rows: often in it, in few others. Most telling first."""
        words: dict[tuple[str, ...], str] = {}
        often: dict[tuple[str, ...], int] = {}
        for word in word_pattern().findall(text):
            variants = tuple(analyzer.terms_of(word)[0] for analyzer in self.analyzers if analyzer.terms_of(word))
            words.setdefault(variants, word)
            often[variants] = often.get(variants, 0) + 1
        weights = {variants: self._weighed(variants)[0] * math.log1p(often[variants]) for variants in words}
        return [words[variants] for variants in sorted(words, key=lambda item: -weights[item])[:count]]

    def rows_with(self, terms: Sequence[tuple[str, ...]]) -> NDArray[np.intp]:
        """Live rows that have each of `terms`, in one of its variants; ascending."""
        import numpy as np  # noqa: PLC0415 - heavy

        mask = self.live.copy()
        for variants in terms:
            here = np.zeros(self.rows, np.bool_)
            here[self._postings(variants)[0]] = True
            mask &= here
        return np.flatnonzero(mask)

    def _weighed(self, variants: tuple[str, ...]) -> tuple[float, NDArray[np.intp], NDArray[np.float32]]:
        """Inverse document frequency of a term among the live rows, and its postings."""
        import numpy as np  # noqa: PLC0415 - heavy

        rows, frequencies = self._postings(variants)
        having = len(rows) if self._live_rows == self.rows else int(np.count_nonzero(self.live[rows]))
        return math.log(1 + (self._live_rows - having + 0.5) / (having + 0.5)), rows, frequencies

    def _saturated(self, rows: NDArray[np.intp], frequencies: NDArray[np.float32]) -> NDArray[np.float32]:
        import numpy as np  # noqa: PLC0415 - heavy

        saturated = self._damping[rows]
        saturated += frequencies
        np.divide(frequencies, saturated, out=saturated)
        saturated *= TERM_SATURATION + 1
        return saturated

    def _postings(self, variants: tuple[str, ...]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The rows that have a term, each once, and how often."""
        import numpy as np  # noqa: PLC0415 - heavy

        spelled = [term.encode() for term in variants]
        found = [
            (placed.first, *postings)
            for placed in self._parts
            for term in spelled
            if (postings := placed.part.postings(term)) is not None
        ]
        if not found:
            return np.empty(0, np.intp), np.empty(0, np.float32)
        firsts, rows_of, frequencies_of = zip(*found, strict=True)
        # All parts at once: a call of NumPy costs as much as some thousand rows.
        rows = np.concatenate(rows_of, dtype=np.intp)
        rows += np.repeat(firsts, [len(rows) for rows in rows_of])
        frequencies = np.concatenate(frequencies_of, dtype=np.float32)
        if len(variants) > 1:
            rows, places = np.unique(rows, return_inverse=True)
            frequencies = np.bincount(places, frequencies).astype(np.float32)
        return rows, frequencies


def _terms_of(layout: Layout, segment: Segment) -> SegmentTerms:
    found = read_terms(layout, segment)
    if found is None:
        # Where it cannot be kept (no permission, no space) it is made again the next time: a search is no less right.
        with contextlib.suppress(StorageUnwritable):
            _write(layout, segment, Analyzers())
            found = read_terms(layout, segment)
    return found or _made(segment)


def _made(segment: Segment) -> SegmentTerms:
    """The lexical index of a segment, in memory."""
    languages: set[str] = set()
    parts = tuple(make_parts(segment, languages, Analyzers()))
    return SegmentTerms(languages=frozenset(languages), parts=parts)


def _write(layout: Layout, segment: Segment, analyzers: Analyzers) -> None:
    languages: set[str] = set()
    write_terms(layout, segment, make_parts(segment, languages, analyzers), languages)


def make_missing(snapshot: Snapshot, analyzers: Analyzers) -> None:
    """Makes the lexical indexes of those segments that have none. Raises StorageUnwritable or CorruptCollection."""
    for segment in snapshot.segments:
        if not segment_folder(snapshot.layout, segment.record).is_dir():
            _write(snapshot.layout, segment, analyzers)


def carry_over(layout: Layout, sources: Sequence[Segment], merged: Segment) -> None:
    """Makes the lexical index of a segment from those of the segments that it was merged from, where all have one.

    What cannot be done, or written, now is made from the texts later.
    """
    with contextlib.suppress(StorageUnwritable, _NotMade):
        write_terms(layout, merged, merged_parts(_known(layout, sources)), languages_of(merged))


class _NotMade(Exception):
    """A segment has no lexical index."""


def _known(layout: Layout, sources: Iterable[Segment]) -> Iterator[tuple[SegmentTerms, NDArray[np.bool_]]]:
    """What the segments hold and which of their rows still count, one mapped at a time. Raises _NotMade."""
    for source in sources:
        terms = read_terms(layout, source)
        if terms is None:
            raise _NotMade
        yield terms, source.live_mask


def bring_up_to_date(snapshot: Snapshot) -> None:
    """Makes the lexical indexes of new segments and removes those of segments that are gone. For the writer.

    What cannot be written now is made when it is first searched.
    """
    layout = snapshot.layout
    try:
        make_missing(snapshot, Analyzers())
    except StorageUnwritable as error:
        logger.warning("the lexical index could not be written: %s", error.message)
    manifests = [snapshot.manifest, *kept_manifests(layout)]
    kept = {segment_folder(layout, segment) for manifest in manifests for segment in manifest.segments}
    for folder in (layout.root / LEXICAL).glob("*"):
        if folder not in kept:
            shutil.rmtree(folder, ignore_errors=True)
