"""From files of the richer formats to hits: pages, notices and failures as a user of the command line sees them."""

from pathlib import Path

from tests.cli.test_commands import Run, run  # noqa: F401 - a fixture
from tests.conftest import CHAT_MODEL
from tests.read.test_office import presentation, workbook
from tests.read.test_pdf import pdf, picture, report


def test_hits_of_a_pdf_name_the_page(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """A passage of a later page is found with its page; what was not readable is said, and nothing else fails."""
    folder = tmp_path / "docs"
    folder.mkdir()

    def draw(canvas: object) -> None:
        report(canvas)
        canvas.drawString(72, 700, "Herring is salted in barrels of oak at the end of summer.")
        canvas.showPage()
        canvas.drawImage(picture(), 0, 0, 500, 700)

    (folder / "tides.pdf").write_bytes(pdf(draw))
    (folder / "deck.pptx").write_bytes(presentation())
    (folder / "ports.xlsx").write_bytes(workbook())
    (folder / "scan.pdf").write_bytes(pdf(lambda canvas: canvas.drawImage(picture(), 0, 0, 500, 700)))
    (folder / "old.zip").write_bytes(b"PK")
    indexed = run("index", folder, "--json")
    assert indexed.status == 1
    report_of_run = indexed.json
    assert report_of_run["documents"]["added"] == 3
    assert report_of_run["failures"] == [
        {"path": str(folder / "scan.pdf"), "error": "has no text on its 1 pages: it is scanned, and needs OCR"}
    ]
    assert report_of_run["notices"] == [
        {"path": str(folder / "ports.xlsx"), "notice": "1 hidden sheet is left out"},
        {
            "path": str(folder / "tides.pdf"),
            "notice": "page 3 has no text and OCR is needed: run OCR over it (such as ocrmypdf), and index the result",
        },
    ]
    assert report_of_run["skipped"] == {"archive .zip": 1}
    hit = run("search", "fish kept in wooden barrels", "--json").json["hits"][0]
    assert hit["path"] == str(folder / "tides.pdf")
    assert "Herring is salted" in hit["text"]
    assert (hit["page"], hit["end_page"]) == (1, 2)
    shown = run("search", "fish kept in wooden barrels", "-k", "1")
    assert "(pages 1-2)" in shown.out
    citation = run("ask", "In what is herring salted?", "--chat-model", CHAT_MODEL, "--json").json["citations"][0]
    assert (citation["page"], citation["end_page"]) == (1, 2)
    (folder / "ports.xlsx").touch()
    again = run("index", folder)
    assert "documents: 3 unchanged, 1 failed" in again.out


def test_notices_are_shown(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """On a terminal each notice is a line that names its file."""
    (tmp_path / "a.txt").write_bytes("Größe und Höhe\n".encode() + b"\xff")
    done = run("index", tmp_path / "a.txt")
    assert done.status == 0
    assert "a.txt: not all of it is utf-8: unreadable bytes in 1 place" in done.err
