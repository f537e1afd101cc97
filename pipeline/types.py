"""The records that flow through the stages, in the order in which they appear. Imports nothing of ours.

Document -> Chunk -> Batch -> Vectors -> (stored) -> Hit -> Passage -> Answer with Citations
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BlockKind = Literal["heading", "paragraph", "list_item", "table", "code", "quote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A structural unit of a document: `document.text[start:end]`, in characters.

    Blocks are in order and do not overlap. A block with a `title` opens a section of its `level` (1 is the outermost):
    headings do, and so do functions and classes.
    """

    start: int
    end: int
    kind: BlockKind
    level: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One source file as text.

    `path` is absolute; `title` is what the text itself gives as such, or empty. `source_lines` maps positions of
    `text` to 1-based lines of the file where the two differ (HTML): pairs of (offset in `text`, line), ascending;
    empty where `text` is the file itself, or where the file has no lines (PDF): lines are then those of `text`.
    `pages` does the same for pages, slides and sheets, from 1; empty where there are none. `notices` says what of the
    file could not be read, a sentence each.
    """

    document_id: str
    path: str
    format: str
    text: str
    title: str
    blocks: tuple[Block, ...]
    content_hash: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    source_lines: tuple[tuple[int, int], ...] = ()
    pages: tuple[tuple[int, int], ...] = ()
    notices: tuple[str, ...] = ()


class LineIndex:
    """Lines and pages of a document's source file by offset in its text."""

    def __init__(self, document: Document) -> None:
        self._page_offsets = [offset for offset, _ in document.pages]
        self._pages = [page for _, page in document.pages]
        if document.source_lines:
            self._offsets = [offset for offset, _ in document.source_lines]
            self._lines: Sequence[int] = [line for _, line in document.source_lines]
        else:
            self._offsets = list(accumulate((len(line) + 1 for line in document.text.split("\n")[:-1]), initial=0))
            self._lines = range(1, len(self._offsets) + 1)

    def line_at(self, offset: int) -> int:
        """1-based line of the source file at a character offset of the text."""
        return self._lines[max(0, bisect_right(self._offsets, offset) - 1)]

    def page_at(self, offset: int) -> int | None:
        """1-based page of the source file at a character offset of the text, or None where there are no pages."""
        return self._pages[max(0, bisect_right(self._page_offsets, offset) - 1)] if self._pages else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A contiguous span of a document: `document.text[start:end] == text`, in characters.

    `heading_path` names the sections it stands in, outermost first. `content_hash` covers exactly the string that
    is embedded (see `embedded_text`), so equal hashes may share a vector. `page` and `end_page` are the pages on which
    it begins and ends, where the document has pages.
    """

    chunk_id: str
    document_id: str
    start: int
    end: int
    text: str
    heading_path: tuple[str, ...]
    start_line: int
    end_line: int
    embedded_text: str
    content_hash: bytes
    page: int | None = None
    end_page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Chunks that go to the server in one request. `number` counts from 0 in the order of the chunks."""

    number: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """Embeddings of a batch, row i for `chunks[i]`: float32, shape (len(chunks), dimension), L2-normalised rows."""

    chunks: tuple[Chunk, ...]
    matrix: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """What is known of the approximate index of a segment, as the manifest holds it; every field is JSON.

    `candidates` rows re-scored exactly found the share `recall` of the true ten nearest of `sampled` rows, where `goal`
    was asked for. `crc32` is that of the file, `library` and `format` what wrote it.
    """

    kind: str
    rows: int
    dimension: int
    candidates: int
    recall: float
    goal: float
    sampled: int
    crc32: int
    library: str
    format: int

    @property
    def usable(self) -> bool:
        """Whether the goal was reached; where it was not, the segment is searched exactly."""
        return self.recall >= self.goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """A hit's score in each stage that saw it; higher is better everywhere. `dense` is the cosine similarity."""

    dense: float | None = None
    lexical: float | None = None
    rerank: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one stage of a search made of a hit: the rank it gave it (0: not among those it proposed) and the score.

    `detail` has other figures, `terms` what each term of the query adds to a lexical score.
    """

    rank: int
    score: float
    detail: Mapping[str, float] = field(default_factory=dict[str, float])
    terms: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A ranked passage. `rank` counts from 1; `score` is the score it is ranked by.

    It is `[start, end)` of its document's text, in characters; it begins on `page` and ends on `end_page`, where its
    document has pages.
    `collection` is where it was found; `duplicates` are the places (`path:line`) of passages that say the same and are
    not listed; `explain` says by stage how it came to its rank, where that was asked for.
    """

    rank: int
    score: float
    path: str
    start_line: int
    end_line: int
    page: int | None
    heading: str
    text: str
    document_id: str
    chunk_id: str
    scores: Scores
    collection: str = ""
    duplicates: tuple[str, ...] = ()
    explain: Mapping[str, Stage] | None = None
    end_page: int | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A hit as it stands in a prompt, under the number that citations use."""

    number: int
    hit: Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Ties an answer to a passage: `quote` is the passage's sentence that supports it best.

    `page` and `end_page` are those of the passage, where its document has pages.
    """

    number: int
    path: str
    start_line: int
    end_line: int
    quote: str
    page: int | None = None
    end_page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of an answer, and the span of the passages that supports it best.

    `text` stands in the answer as it is, with its marks; `numbers` are those of the passages it cites. `score` is the
    share of its words that the span has, `similarity` the cosine of the two, or None where it was not needed or could
    not be had; `judged` is what the chat model says of it, or None where it was not asked. `number` is the passage of
    `quote`, 0 where there is none.
    """

    text: str
    support: Literal["supported", "unsupported"]
    score: float
    similarity: float | None = None
    judged: bool | None = None
    numbers: tuple[int, ...] = ()
    number: int = 0
    path: str = ""
    start_line: int = 0
    end_line: int = 0
    quote: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the server counted them; zero where no model was asked."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    context_limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`model` is empty where the answer is extractive: sentences of the passages, quoted as they stand.

    `passages_read` counts the hits, from the first, that the model or the search for sentences got to read.
    `sentences` says of every sentence of `text` whether the passages support it. `draft` is what the model wrote where
    `text` is something else, because it did not stand up to the check; `thinking` is the reasoning of a model that
    thinks; `value` is the answer where it was asked for as JSON. `stopped` says why
    `text` is not whole, and is empty where it is.
    """

    question: str
    text: str
    answered: bool
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    model: str
    usage: Usage
    notices: tuple[str, ...] = ()
    passages_read: int = 0
    sentences: tuple[Sentence, ...] = ()
    draft: str = ""
    thinking: str = ""
    stopped: Literal["", "length", "repetition", "interrupted"] = ""
    value: Any = None
