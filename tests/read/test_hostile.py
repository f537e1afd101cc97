"""Files made to hurt: each costs a bounded amount, gives its text or an error that says why not, and harms no other."""

import io
import zipfile
from pathlib import Path

import docx
import pptx
import pytest

from pipeline.errors import ReadError
from pipeline.read import Found, Skipped, discover, read_document
from pipeline.read import json as json_reader
from tests.read.reading import read
from tests.read.test_mail_and_books import book
from tests.read.test_office import saved, with_member

BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12))
    + b"]>"
)
"""Entities that stand for ten of the one before: a trillion characters."""
DECLARATION = b"<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n"


def word(text: str) -> bytes:
    document = docx.Document()
    document.add_paragraph(text)
    return saved(document)


def test_entities_in_a_word_document(tmp_path: Path) -> None:
    """Entities that expand without end are refused by the parser of XML."""
    content = with_member(word("MARK"), "word/document.xml", {DECLARATION: BOMB, b"MARK": b"&m;"})
    with pytest.raises(ReadError, match=r"cannot be read as docx: .*(amplification|entit)"):
        read(tmp_path, "a.docx", content)


def test_entities_in_a_presentation(tmp_path: Path) -> None:
    """Entities are not expanded in slides."""
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = "MARK"
    content = with_member(saved(deck), "ppt/slides/slide1.xml", {DECLARATION: BOMB, b"MARK": b"x&m;y"})
    try:
        assert len(read(tmp_path, "a.pptx", content).text) < 100
    except ReadError as error:
        assert "cannot be read as pptx" in error.message


def test_entities_in_a_book(tmp_path: Path) -> None:
    """Pages are HTML, which knows no entities of its own: what stands there, stays there."""
    document = read(tmp_path, "a.epub", book(chapter="<!DOCTYPE x [<!ENTITY a 'b'>]><p>one &a; two</p>"))
    assert "one &a; two" in document.text


@pytest.mark.parametrize("depth", [50, 10_000])
def test_nested_tables_in_a_word_document(tmp_path: Path, depth: int) -> None:
    """Tables within tables are read to any depth that people make, and refused where the library gives up."""
    paragraph = b"<w:p><w:r><w:t>MARK</w:t></w:r></w:p>"
    nested = (
        b"<w:tbl><w:tr><w:tc>" * depth + b"<w:p><w:r><w:t>core</w:t></w:r></w:p>" + b"</w:tc></w:tr></w:tbl>" * depth
    )
    content = with_member(word("MARK"), "word/document.xml", {paragraph: nested})
    if depth < 100:
        assert read(tmp_path, "a.docx", content).text == "core"
    else:
        with pytest.raises(ReadError, match=r"is nested too deeply|crash"):
            read(tmp_path, "a.docx", content)


def test_nested_tags_in_a_book(tmp_path: Path) -> None:
    """Ten thousand tags within each other cost no recursion."""
    assert "core" in read(tmp_path, "a.epub", book(chapter="<div>" * 10_000 + "core" + "</div>" * 10_000)).text


def test_archive_that_lies_about_sizes(tmp_path: Path) -> None:
    """A member that says it is small gives so many bytes and no more."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"x" * 2**20)
    content = target.getvalue().replace((2**20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    document = read(tmp_path, "a.zip", content)
    assert document.text == ""
    assert document.notices == ("1 file not read: broken",)


def test_file_beyond_its_limit_is_never_read(tmp_path: Path) -> None:
    """A line of two gigabytes is refused by its size, named or found; the limit is that of its format."""
    for name, size in (("a.txt", 2**31), ("a.pdf", 2**31), ("b.pdf", 100 * 2**20), ("b.txt", 100 * 2**20)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    items = {item.path.name: item for item in discover([tmp_path])}
    assert {name: item.reason for name, item in items.items() if isinstance(item, Skipped)} == {
        "a.txt": "larger than 64 MiB",
        "a.pdf": "larger than 256 MiB",
        "b.txt": "larger than 64 MiB",
    }
    assert isinstance(items["b.pdf"], Found)
    with pytest.raises(ReadError, match="cannot be read: larger than 64 MiB"):
        read_document(tmp_path / "a.txt")


def test_json_of_too_many_values_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of values, JSON is numbers more than text and read as it stands."""
    monkeypatch.setattr(json_reader, "MOST_VALUES", 1000)
    content = "[" + "1," * 1000 + "1]"
    document = read(tmp_path, "a.json", content)
    assert document.text == content
    assert document.metadata == {"not_parsed": "more than 1000 values"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a.txt", "a.md", "a.rst", "a.html", "a.csv", "a.json", "a.tex", "a.rs", "a.py", "a.ipynb"]
)
def test_one_line_of_the_largest_size(tmp_path: Path, name: str) -> None:
    """A file that is one line, as large as is read, is read in seconds and loses nothing."""
    words = b"x " * (2**25 - 50)
    frames = {"a.json": (b'"', b'"'), "a.ipynb": (b'{"cells":[{"cell_type":"raw","source":"', b'"}]}')}
    before, after = frames.get(name, (b"", b""))
    path = tmp_path / name
    path.write_bytes(before + words + after)
    document = read_document(path)
    assert document.text.count("x") == len(words) // 2
    assert len(document.blocks) == 1
