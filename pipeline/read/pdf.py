"""PDF: the text of each page through PDFium, columns in reading order, with headings by the outline or by their size.

Pages with pictures and almost no text are counted as scanned, as only OCR could read them. Pictures, values in forms,
annotations and attachments are left out; tables are lines of text.
"""

from __future__ import annotations

import ctypes
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.errors import MissingExtra
from pipeline.read.assembly import Assembly
from pipeline.read.formats import Parsed, Unreadable
from pipeline.read.metadata import standard
from pipeline.read.pdf_layout import LONGEST_HEADING, Piece, by_columns, gutter_of, heading_levels, paragraphs

ALMOST_NO_TEXT = 16
"""A page with fewer characters than this, white space aside, and with a picture, is taken for a scan."""
MOST_BROKEN_PAGES = 100
"""After so many pages in a row that cannot be opened, the others are given up: the file lies about their number."""
PICTURE_DEPTH = 3
HYPHEN = "\ufffe\x02\u00ad"
"""How PDFium marks a hyphen that parts a word at the end of a line, in place of the line end."""
LINE_END = re.compile(rf"\r\n|\r|\n|(?<=[{HYPHEN}])")
Box = tuple[float, float, float, float]
"""Left, right, bottom and top, in points from below left."""
LEAST_GAP = 0.5
"""Columns are further apart than so many heights of a line; words are closer."""
NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+[^\W\d_](?!.*\. ?\.).{0,100}")
BOLD = re.compile(rb"bold|black|heavy|demi|cmbx", re.IGNORECASE)
LONGEST_FONT_NAME = 200
LEAST_OUTLINE = 3
"""An outline with fewer entries says less of a document than the sizes of its lines."""
NOT_IN_WORDS = re.compile(r"[\W_]+")
OCR_HINT = "run OCR over it (such as ocrmypdf), and index the result"


def parse(content: bytes) -> Parsed:
    try:
        import pypdfium2 as pdfium  # noqa: PLC0415 - heavy, and in an extra
    except ImportError as error:
        raise MissingExtra("pypdfium2", extra="documents") from error
    try:
        document = pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise Unreadable("is protected by a password", hint="save a copy without one, and index that") from error
        raise Unreadable(f"is no PDF, or broken: {error}", hint="see that it opens, or was copied whole") from error
    reader = _Reader(document, pdfium)
    reader.read()
    return reader.assembled()


class _Reader:
    """Collects the lines of all pages, as what is a heading depends on all of them."""

    def __init__(self, document: Any, pdfium: Any) -> None:
        self._document = document
        self._pdfium = pdfium
        self._pages: dict[int, list[Piece]] = {}
        self._count = len(document)
        self._scanned: list[int] = []
        self._broken = 0

    def read(self) -> None:
        in_a_row = 0
        for index in range(self._count):
            try:
                page = self._document[index]
                pieces = self._pieces(page)
                if sum(len(piece.text.replace(" ", "")) for piece in pieces) < ALMOST_NO_TEXT and self._has_picture(
                    page
                ):
                    self._scanned.append(index + 1)
                page.close()
            except self._pdfium.PdfiumError:
                self._broken, in_a_row = self._broken + 1, in_a_row + 1
                if in_a_row == MOST_BROKEN_PAGES:
                    self._broken += self._count - index - 1
                    break
                continue
            in_a_row = 0
            self._pages[index + 1] = pieces

    def assembled(self) -> Parsed:
        assembly = Assembly()
        outline = self._outline()
        sizes = {} if outline else heading_levels(self._pages.values())
        for number, pieces in self._pages.items():
            for group in paragraphs(pieces):
                _add_group(assembly, group, number, outline.get(number, []), sizes)
        if not assembly.length:
            raise self._without_text()
        if self._scanned:
            assembly.notices.append(f"{_pages(self._scanned)} no text and OCR is needed: {OCR_HINT}")
        if self._broken:
            assembly.notices.append(f"{self._broken} of {self._count} pages cannot be read")
        metadata = standard(self._properties())
        metadata["page_count"] = str(self._count)
        if self._scanned:
            metadata["pages_without_text"] = str(len(self._scanned))
        return assembly.finish(title=metadata.get("title", ""), metadata=metadata)

    def _without_text(self) -> Unreadable:
        if self._scanned:
            return Unreadable(f"has no text on its {self._count} pages: it is scanned, and needs OCR", hint=OCR_HINT)
        if self._broken:
            return Unreadable(f"is broken: none of {self._count} pages can be read", hint="see that it opens")
        return Unreadable("has no text on its pages", hint="name it in .pipelineignore to leave it out")

    def _pieces(self, page: Any) -> list[Piece]:
        """The lines of a page in reading order, each in one column."""
        text_page = page.get_textpage()
        boxes = [text_page.get_rect(index) for index in range(text_page.count_rects())]
        lines = _PageText(self._pdfium.raw, text_page, gutter_of(boxes))
        pieces = lines.pieces()
        text_page.close()
        return pieces if lines.gutter is None else by_columns(pieces, lines.gutter)

    def _has_picture(self, page: Any) -> bool:
        kinds = [self._pdfium.raw.FPDF_PAGEOBJ_IMAGE]
        return next(iter(page.get_objects(filter=kinds, max_depth=PICTURE_DEPTH)), None) is not None

    def _outline(self) -> dict[int, list[tuple[str, int]]]:
        """Titles and levels of the outline by page, as far as it can be read."""
        found: dict[int, list[tuple[str, int]]] = {}
        try:
            for bookmark in self._document.get_toc(max_depth=6):
                destination = bookmark.get_dest()
                page = destination.get_index() if destination is not None else None
                if page is not None and (title := " ".join(bookmark.get_title().split())):
                    found.setdefault(page + 1, []).append((title, bookmark.level + 1))
        except self._pdfium.PdfiumError:
            return {}
        return found if sum(map(len, found.values())) >= LEAST_OUTLINE else {}

    def _properties(self) -> Iterator[tuple[str, str]]:
        names = {"CreationDate": "date", "ModDate": "modified"}
        for name, value in self._document.get_metadata_dict(skip_empty=True).items():
            if name in ("Title", "Author", "Subject", "Keywords", "CreationDate", "ModDate"):
                yield names.get(name, name), value
        raw = self._pdfium.raw
        length = raw.FPDFCatalog_GetLanguage(self._document, None, 0)
        if 2 < length < 100:  # in bytes of UTF-16, with the nought at its end
            buffer = ctypes.create_string_buffer(length)
            raw.FPDFCatalog_GetLanguage(self._document, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), length)
            yield "language", buffer.raw[: length - 2].decode("utf-16-le", "replace")


def _add_group(
    assembly: Assembly, group: list[Piece], page: int, outline: Sequence[tuple[str, int]], sizes: dict[int, int]
) -> None:
    """Adds a paragraph, or a heading: by the outline where there is one, else by its size."""
    text = _joined(group)
    if outline:
        wanted = _bare(text)
        for title, level in outline:
            if wanted and wanted.endswith(_bare(title)) and len(wanted) <= len(_bare(title)) + 8:
                assembly.heading(text, level, page=page)
                return
    level = sizes.get(round(2 * group[0].size))
    if not outline and len(group) == 1 and group[0].bold and (numbered := NUMBERED.fullmatch(text)):
        level = numbered[1].count(".") + (2 if sizes else 1)  # below the title
    if level and len(text) <= LONGEST_HEADING and any(character.isalpha() for character in text):
        assembly.heading(text, level, page=page)
    else:
        assembly.add(text, page=page)


def _joined(group: Sequence[Piece]) -> str:
    """The lines of a paragraph; a word that is parted at the end of one is put together."""
    lines: list[str] = []
    for piece in group:
        line = piece.text
        if lines and lines[-1][-1:] in HYPHEN:
            rest, _, line = line.partition(" ")
            lines[-1] = lines[-1].rstrip(HYPHEN) + rest
            if not line:
                continue
        lines.append(line)
    if lines:
        lines[-1] = lines[-1].rstrip(HYPHEN)
    text = "\n".join(lines)
    for mark in HYPHEN:
        text = text.replace(mark, "-" if mark != "\u00ad" else "")
    return text


def _bare(text: str) -> str:
    return NOT_IN_WORDS.sub("", text).casefold()


def _is_gap(before: Box, gutter: float, after: Box) -> bool:
    """Whether the space between two characters is the gutter, and not one between words that happens to lie there."""
    return before[1] <= gutter <= after[0] and after[0] - before[1] > LEAST_GAP * (after[3] - after[2])


class _PageText:
    """The text of a page as PDFium has it, with the boxes of its characters."""

    def __init__(self, raw: Any, text_page: Any, gutter: float | None) -> None:
        self._raw = raw
        self._text_page = text_page
        self._text: str = text_page.get_text_range()
        # PDFium counts characters beyond 16 bits twice.
        self._wide = [offset for offset, character in enumerate(self._text) if character > "\uffff"]
        self.gutter = gutter

    def pieces(self) -> list[Piece]:
        """The lines in PDFium's order, which is that of the file; those that run over the gutter are parted."""
        pieces: list[Piece] = []
        at = 0
        for end in [*(match.span() for match in LINE_END.finditer(self._text)), (len(self._text), len(self._text))]:
            for start, stop in self._parted(at, end[0]):
                if piece := self._piece(start, stop):
                    pieces.append(piece)
            at = end[1]
        return pieces

    def _parted(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """A line's parts in the columns: cut where it goes from the left of the gutter to the right at a space."""
        if self.gutter is not None and start < end:
            left = self._box(start)
            word = start
            for cut in range(start + 1, end):
                if self._text[cut - 1].isspace() and not self._text[cut].isspace():
                    before, after = self._box(word), self._box(cut)
                    if left and before and after and _is_gap(before, self.gutter, after):
                        yield start, cut
                        yield cut, end
                        return
                if not self._text[cut].isspace():
                    word = cut
        yield start, end

    def _piece(self, start: int, end: int) -> Piece | None:
        while start < end and self._text[start].isspace():
            start += 1
        while end > start and self._text[end - 1].isspace():
            end -= 1
        if start == end:
            return None
        nowhere = (0.0, 0.0, 0.0, 0.0)
        first, last = self._box(start), self._box(end - 1)
        first, last = first or last or nowhere, last or first or nowhere
        line = " ".join(self._text[start:end].split())
        bold = NUMBERED.fullmatch(line) is not None and self._is_bold(start)
        return Piece(line, min(first[0], last[0]), max(first[1], last[1]), first[3], first[2], bold)

    def _is_bold(self, offset: int) -> bool:
        """Whether a character is in bold type, which few files state but in the name of the font."""
        name = ctypes.create_string_buffer(LONGEST_FONT_NAME)
        self._raw.FPDFText_GetFontInfo(self._text_page, self._index(offset), name, LONGEST_FONT_NAME, ctypes.c_int())
        return BOLD.search(name.value) is not None

    def _box(self, offset: int) -> Box | None:
        """Left, right, bottom and top of a character, with the room that its font gives it."""
        index = self._index(offset)
        box = self._raw.FS_RECTF()
        if index < 0 or not self._raw.FPDFText_GetLooseCharBox(self._text_page, index, box):
            return None
        return box.left, box.right, box.bottom, box.top

    def _index(self, offset: int) -> int:
        return self._raw.FPDFText_GetCharIndexFromTextIndex(self._text_page, offset + bisect_left(self._wide, offset))


def _pages(numbers: Sequence[int]) -> str:
    """`page 3 has`, `12 pages (1, 2, 3, ...) have`, up to the verb."""
    if len(numbers) == 1:
        return f"page {numbers[0]} has"
    shown = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
    return f"{len(numbers)} pages ({shown}) have"
