"""PDF: text in reading order with pages, headings and properties; scans, protection and broken files told."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from pipeline.errors import ReadError
from pipeline.read.pdf_layout import Piece, by_columns, gutter_of, heading_levels, paragraphs
from tests.read.reading import blocks, page_of, read

PROSE = "The tide comes in twice a day and goes out again as often"


def pdf(draw: Callable[[Canvas], None], **options: object) -> bytes:
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=A4, **options)
    draw(canvas)
    canvas.save()
    return target.getvalue()


def lines(canvas: Canvas, texts: list[str], *, left: float = 72, top: float = 760, step: float = 14) -> None:
    for number, text in enumerate(texts):
        canvas.drawString(left, top - step * number, text)


def picture() -> ImageReader:
    from PIL import Image

    return ImageReader(Image.new("RGB", (40, 40), "grey"))


def report(canvas: Canvas) -> None:
    canvas.setTitle("Tides at Ness")
    canvas.setAuthor("M. Tern")
    canvas.setSubject("Heights")
    canvas.setFont("Helvetica-Bold", 20)
    canvas.drawString(72, 790, "Tides")
    canvas.setFont("Helvetica", 11)
    lines(canvas, [f"{PROSE} {number}" for number in range(4)])
    lines(canvas, ["A second paragraph", "of two lines."], top=680)
    canvas.setFont("Helvetica-Bold", 14)
    canvas.drawString(72, 630, "High water")
    canvas.setFont("Helvetica", 11)
    lines(canvas, ["It stands at six."], top=610)
    canvas.showPage()
    canvas.setFont("Helvetica", 11)
    lines(canvas, ["Text of the second page."])


def test_pdf(tmp_path: Path) -> None:
    """Lines become paragraphs by their distance and headings by their size; each knows its page."""
    document = read(tmp_path, "tides.pdf", pdf(report, lang="en-GB"))
    assert blocks(document) == [
        ("heading", "Tides", "Tides"),
        ("paragraph", "", "\n".join(f"{PROSE} {number}" for number in range(4))),
        ("paragraph", "", "A second paragraph\nof two lines."),
        ("heading", "High water", "High water"),
        ("paragraph", "", "It stands at six."),
        ("paragraph", "", "Text of the second page."),
    ]
    assert [block.level for block in document.blocks if block.title] == [1, 2]
    assert [page_of(document, word) for word in ("Tides", "six", "second page")] == [1, 1, 2]
    assert document.title == "Tides at Ness"
    metadata = dict(document.metadata)
    assert metadata.pop("date")[:2] == "20"
    assert metadata.pop("modified")[:2] == "20"
    assert metadata == {
        "title": "Tides at Ness",
        "author": "M. Tern",
        "subject": "Heights",
        "language": "en-GB",
        "page_count": "2",
    }
    assert document.notices == ()


def test_outline_gives_headings(tmp_path: Path) -> None:
    """With an outline, what it names is a heading at its level, and size alone makes none."""

    def draw(canvas: Canvas) -> None:
        for number, (title, level) in enumerate([("Ports", 0), ("Ness", 1), ("Wick", 1)]):
            canvas.bookmarkPage(str(number))
            canvas.addOutlineEntry(title, str(number), level)
            canvas.setFont("Helvetica-Bold", 11)
            lines(canvas, [f"{number + 1}. {title}"])
            canvas.setFont("Helvetica", 30)
            lines(canvas, ["LARGE"], top=700)
            canvas.setFont("Helvetica", 11)
            lines(canvas, [PROSE] * 3, top=600)
            canvas.showPage()

    document = read(tmp_path, "a.pdf", pdf(draw))
    headings = [(block.title, block.level, page_of(document, block.title)) for block in document.blocks if block.title]
    assert headings == [("1. Ports", 1, 1), ("2. Ness", 2, 2), ("3. Wick", 2, 3)]


LEFT = [f"left column line number {number:02} is full" for number in range(20)]
RIGHT = [f"right column line number {number:02} is full" for number in range(20)]


@pytest.mark.parametrize("interleaved", [True, False], ids=["row by row", "column by column"])
def test_two_columns(tmp_path: Path, interleaved: bool) -> None:
    """The left column is read before the right one, between a title and a footer that run over both."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        canvas.drawString(
            72, 800, "A title that runs over the whole width of this page and over both of its columns here"
        )
        if interleaved:
            for number, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
                canvas.drawString(72, 760 - 14 * number, left)
                canvas.drawString(310, 760 - 14 * number, right)
        else:
            lines(canvas, LEFT)
            lines(canvas, RIGHT, left=310)
        canvas.drawString(
            72, 400, "A footer that runs over the whole width of this page and over both of its columns here"
        )

    text = read(tmp_path, "a.pdf", pdf(draw)).text.replace("\n\n", "\n").split("\n")
    assert text[0].startswith("A title")
    assert text[1:-1] == LEFT + RIGHT
    assert text[-1].startswith("A footer")


def test_table_is_read_row_by_row(tmp_path: Path) -> None:
    """Short cells beside each other are no columns of running text."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        canvas.drawString(72, 780, "The heights of all the ports along the coast in the order of the map")
        for number in range(20):
            canvas.drawString(72, 760 - 14 * number, f"Port {number:02}")
            canvas.drawString(310, 760 - 14 * number, f"{number} m")

    text = read(tmp_path, "a.pdf", pdf(draw)).text
    assert [line for line in text.split("\n") if line.startswith("Port")] == [
        f"Port {number:02} {number} m" for number in range(20)
    ]


def test_scanned_pages_are_reported(tmp_path: Path) -> None:
    """A page with a picture and no text is counted and named; an empty page is none of those."""

    def draw(canvas: Canvas) -> None:
        lines(canvas, [PROSE])
        canvas.drawImage(picture(), 72, 72)
        canvas.showPage()
        canvas.drawImage(picture(), 0, 0, 500, 700)
        canvas.showPage()
        canvas.showPage()
        canvas.drawImage(picture(), 0, 0, 500, 700)

    document = read(tmp_path, "a.pdf", pdf(draw, pageCompression=0))
    assert document.text == PROSE
    assert document.notices == (
        "2 pages (2, 4) have no text and OCR is needed: run OCR over it (such as ocrmypdf), and index the result",
    )
    assert document.metadata["pages_without_text"] == "2"
    assert document.metadata["page_count"] == "4"


def test_scan_is_an_error(tmp_path: Path) -> None:
    """A file that is scanned from end to end is a failure that says so, not an empty document."""
    with pytest.raises(ReadError, match="has no text on its 1 pages: it is scanned, and needs OCR") as caught:
        read(tmp_path, "a.pdf", pdf(lambda canvas: canvas.drawImage(picture(), 0, 0, 500, 700)))
    assert caught.value.hint == "run OCR over it (such as ocrmypdf), and index the result"


def test_protected_pdf(tmp_path: Path) -> None:
    """A password is named as what is in the way; one that is only for changes is none."""
    with pytest.raises(ReadError, match="is protected by a password") as caught:
        read(tmp_path, "a.pdf", pdf(report, encrypt=StandardEncryption("secret", canPrint=0)))
    assert caught.value.hint == "save a copy without one, and index that"
    document = read(tmp_path, "a.pdf", pdf(report, encrypt=StandardEncryption("", ownerPassword="owner")))
    assert document.text.startswith("Tides")


def test_broken_pdf(tmp_path: Path) -> None:
    """What is no PDF, or only the start of one, is an error of that file."""
    for content in (b"%PDF-1.7\nnothing", pdf(report)[:300], b""):
        with pytest.raises(ReadError, match="is no PDF, or broken"):
            read(tmp_path, "a.pdf", content)


def test_word_parted_at_a_line_end(tmp_path: Path) -> None:
    """A word that a hyphen parts at the end of a line is whole in the text."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        lines(canvas, ["High water is fore-", "cast by the harbour", "mas-", "ter"])

    assert read(tmp_path, "a.pdf", pdf(draw)).text == "High water is forecast\nby the harbour\nmaster"


ENDLESS = {
    "a tree that holds itself": (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000>>endobj\ntrailer<</Root 1 0 R>>\n"
    ),
    "a million pages that are not there": (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1000000>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n"
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_page_tree(tmp_path: Path, name: str) -> None:
    """A file that lies about its pages costs no more than a file, and is an error."""
    with pytest.raises(ReadError, match=r"is broken: none of \d+ pages can be read|has no text|is no PDF"):
        read(tmp_path, "a.pdf", ENDLESS[name])


def test_columns_by_hand() -> None:
    """The gutter lies where the right column starts; between pieces over both, left comes before right."""
    boxes = [(0.0, 700.0 - 10 * n, 90.0, 709.0 - 10 * n) for n in range(8)]
    boxes += [(110.0, 700.0 - 10 * n, 200.0, 709.0 - 10 * n) for n in range(8)]
    assert gutter_of(boxes) == 109
    assert gutter_of(boxes[:8]) is None
    assert gutter_of([(left, bottom, left + 20, top) for left, bottom, right, top in boxes]) is None
    pieces = [
        Piece("title", 0, 200, 800, 790),
        Piece("r1", 110, 200, 709, 700),
        Piece("l1", 0, 90, 708, 699),
        Piece("r2", 110, 200, 699, 690),
        Piece("l2", 0, 90, 698, 689),
        Piece("note", 0, 200, 600, 590),
        Piece("l3", 0, 90, 500, 490),
    ]
    assert [piece.text for piece in by_columns(pieces, 109)] == ["title", "l1", "l2", "r1", "r2", "note", "l3"]


def test_paragraphs_by_hand() -> None:
    """A larger gap, a jump upwards or another size starts a paragraph; sizes above the usual one are headings."""
    pieces = [
        Piece("Head", 0, 50, 800, 785),
        Piece("a", 0, 90, 770, 760),
        Piece("b", 0, 90, 758, 748),
        Piece("c", 0, 90, 746, 736),
        Piece("d", 0, 90, 700, 690),
        Piece("e", 100, 190, 770, 760),
    ]
    assert [[piece.text for piece in group] for group in paragraphs(pieces)] == [
        ["Head"],
        ["a", "b", "c"],
        ["d"],
        ["e"],
    ]
    assert heading_levels([[Piece("x" * 100, 0, 1, 10, 0), Piece("one", 0, 1, 20, 0), Piece("two", 0, 1, 15, 0)]]) == {
        40: 1,
        30: 2,
    }
