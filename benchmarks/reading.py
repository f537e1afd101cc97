"""How fast each format is read, in MB of file and of text a second (processor time), and what the worker costs.

Files are written with the formats' own libraries from the text of `sample_corpus/`, repeated to --megabytes of text.
Each is parsed in this process, also those that `pipeline index` gives to a worker process, so that processor time can
be told; medians of --repeats. What the way to the worker and back adds is measured apart, by the clock. A folder of
your own may be given instead: its files are read as `index` reads them, timed by the clock, and summed up by format.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from pipeline.errors import ReadError
from pipeline.read import Found, discover, read_document
from pipeline.read.document import parse_text
from pipeline.read.formats import FORMATS, Parsed, bytes_reader_of, format_of
from pipeline.read.isolation import Worker

SAMPLE = Path(__file__).parent.parent / "sample_corpus"
MAIL = b"Subject: x\n\nx\n"


def paragraphs(characters: int) -> list[str]:
    """Paragraphs of the sample's Markdown, over and over, to a number of characters; each with a number of its own."""
    source = [
        " ".join(part.split())
        for path in sorted(SAMPLE.rglob("*.md"))
        for part in path.read_text(encoding="utf-8").split("\n\n")
        if len(part) > 100 and not part.startswith(("#", "|", "-", "`", ">"))
    ]
    found: list[str] = []
    length = 0
    while length < characters:
        text = f"{source[len(found) % len(source)]} [{len(found)}]"
        found.append(text)
        length += len(text)
    return found


def markdown(texts: list[str]) -> bytes:
    return "\n\n".join(
        f"## Section {n // 8}\n\n{text}" if n % 8 == 0 else text for n, text in enumerate(texts)
    ).encode()


def html(texts: list[str]) -> bytes:
    return (
        "<html><body>" + "".join(f"<p>{text.replace('<', '&lt;')}</p>\n" for text in texts) + "</body></html>"
    ).encode()


def table(texts: list[str]) -> bytes:
    import csv

    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerows([["Number", "Kind", "Text"], *([n, "passage", text] for n, text in enumerate(texts))])
    return target.getvalue().encode()


def json_lines(texts: list[str]) -> bytes:
    return "".join(
        json.dumps({"id": n, "kind": "passage", "text": text}) + "\n" for n, text in enumerate(texts)
    ).encode()


def notebook(texts: list[str]) -> bytes:
    cells = [{"cell_type": "markdown", "metadata": {}, "source": [text]} for text in texts]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}, indent=1).encode()


def pdf(texts: list[str]) -> bytes:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    target = io.BytesIO()
    style = getSampleStyleSheet()["BodyText"]
    clean = (text.replace("&", "&amp;").replace("<", "&lt;") for text in texts)
    SimpleDocTemplate(target).build([Paragraph(text, style) for text in clean])
    return target.getvalue()


def docx(texts: list[str]) -> bytes:
    import docx as library

    document = library.Document()
    for text in texts:
        document.add_paragraph(text)
    return _saved(document)


def pptx(texts: list[str]) -> bytes:
    import pptx as library

    deck = library.Presentation()
    for number in range(0, len(texts), 3):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = "\n".join(texts[number : number + 3])
    return _saved(deck)


def xlsx(texts: list[str]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Passages")
    for row in [["Number", "Kind", "Text"], *([n, "passage", text] for n, text in enumerate(texts))]:
        sheet.append(row)
    return _saved(book)


def epub(texts: list[str]) -> bytes:
    target = io.BytesIO()
    count = len(texts) // 100 + 1
    items = "".join(f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(count))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(count))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", '<container><rootfile full-path="b.opf"/></container>')
        archive.writestr("b.opf", f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>")
        for number in range(count):
            archive.writestr(f"c{number}.xhtml", html(texts[100 * number : 100 * number + 100]))
    return target.getvalue()


def mailbox(texts: list[str]) -> bytes:
    parts: list[bytes] = []
    for number in range(0, len(texts), 5):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", f"Message {number}"
        mail.set_content("\n\n".join(texts[number : number + 5]))
        parts.append(b"From a@example.org Fri Mar  1 10:30:00 2024\n" + mail.as_bytes() + b"\n")
    return b"".join(parts)


def _saved(document: object) -> bytes:
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


MAKERS: dict[str, Callable[[list[str]], bytes]] = {
    "text.txt": lambda texts: "\n\n".join(texts).encode(),
    "markdown.md": markdown,
    "html.html": html,
    "rst.rst": lambda texts: "\n\n".join(texts).encode(),
    "latex.tex": lambda texts: ("\\begin{document}\n" + "\n\n".join(texts) + "\n\\end{document}\n").encode(),
    "code.rs": lambda texts: "\n\n".join(f"// {text}" for text in texts).encode(),
    "csv.csv": table,
    "json.jsonl": json_lines,
    "notebook.ipynb": notebook,
    "pdf.pdf": pdf,
    "docx.docx": docx,
    "pptx.pptx": pptx,
    "xlsx.xlsx": xlsx,
    "epub.epub": epub,
    "email.mbox": mailbox,
}


def seconds_of(path: Path, repeats: int) -> tuple[float, int]:
    """The median processor time to read a file, and the length of its text."""
    times: list[float] = []
    length = 0
    for _ in range(repeats):
        started = time.process_time()
        length = len(parsed(path).text)
        times.append(time.process_time() - started)
    return statistics.median(times), length


def parsed(path: Path) -> Parsed:
    name = format_of(path) or "text"
    content = path.read_bytes()
    return bytes_reader_of(name)(content) if FORMATS[name].of_bytes else parse_text(name, content)


def formats(megabytes: float, repeats: int) -> None:
    texts = paragraphs(int(megabytes * 1e6))
    print(f"{'format':<10} {'file MB':>8} {'text MB':>8} {'seconds':>8} {'file MB/s':>10} {'text MB/s':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in MAKERS.items():
            path = Path(folder) / name
            path.write_bytes(make(texts))
            size = path.stat().st_size / 1e6
            seconds, length = seconds_of(path, repeats)
            text = length / 1e6
            print(
                f"{path.stem:<10} {size:8.2f} {text:8.2f} {seconds:8.3f} {size / seconds:10.1f} {text / seconds:10.1f}",
                flush=True,
            )


def worker(repeats: int) -> None:
    starts: list[float] = []
    kept: list[float] = []
    for _ in range(max(3, repeats)):
        each = Worker()
        started = time.perf_counter()
        each.parse("email", MAIL)
        starts.append(time.perf_counter() - started)
        started = time.perf_counter()
        for _ in range(100):
            each.parse("email", MAIL)
        kept.append((time.perf_counter() - started) / 100)
        each.close()
    print(f"worker: first file {1000 * statistics.median(starts):.0f} ms, next {1000 * statistics.median(kept):.2f} ms")


def folder_of_files(folder: Path) -> None:
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0, 0])
    for item in discover([folder]):
        if not isinstance(item, Found):
            continue
        started = time.perf_counter()
        try:
            document = read_document(item.path)
        except ReadError as error:
            print(f"{item.path}: {error.message}")
            continue
        row = (1, item.size / 1e6, len(document.text) / 1e6, time.perf_counter() - started)
        sums[document.format] = [total + part for total, part in zip(sums[document.format], row, strict=True)]
    for name, (files, size, text, seconds) in sorted(sums.items()):
        speed = f"{size / seconds:7.1f} MB/s"
        print(f"{name:<10} {files:6.0f} files {size:8.2f} MB {text:8.2f} MB of text {seconds:7.2f} s {speed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--megabytes", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.folder:
        folder_of_files(options.folder)
        return
    formats(options.megabytes, options.repeats)
    worker(options.repeats)


if __name__ == "__main__":
    main()
