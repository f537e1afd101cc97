"""One file into a Document: encodings, and every way in which a file cannot be read, with its cause and a way out."""

import os
from pathlib import Path

import pytest

from pipeline.errors import ReadError
from pipeline.read import read_document
from pipeline.read.files import read_regular
from pipeline.types import Document


def read(tmp_path: Path, name: str, content: str | bytes) -> Document:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path)


LEGACY = [
    ("cp1252", "Die Größe der Flüsse und die Höhe der Brücken über sie sind für Schiffe wichtig."),
    ("cp1252", "café au lait, déjà vu, naïve"),
    ("cp1252", "He said “hello” – it’s a test…"),
    ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy, které zněly celou nocí."),
    ("cp1251", "Съешь ещё этих мягких французских булок да выпей чаю."),
    ("iso8859-7", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία"),
    ("shift_jis", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"),
    ("gb18030", "中华人民共和国是一个社会主义国家。"),
]


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf-8-sig", "plain"), ("utf-16", "größe"), ("utf-32", "größe"), *LEGACY]
)
def test_encodings(tmp_path: Path, encoding: str, text: str) -> None:
    """Marks are honoured, a legacy encoding is told from the text, and what was used is recorded."""
    document = read(tmp_path, "a.txt", text.encode(encoding))
    assert document.text == text
    assert text.encode(str(document.metadata["encoding"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF\x00\x01", "is a binary file"),
        (b"\xff\xfe\x00\xd8", "encoding that cannot be told"),
        (b"%PDF-1.4\n", "is a PDF file"),
    ],
    ids=["binary", "broken utf-16", "pdf"],
)
def test_unreadable_content_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    """What is no text is refused with the reason, which does not lie with the operating system."""
    with pytest.raises(ReadError, match=message) as caught:
        read(tmp_path, "a.txt", content)
    assert not isinstance(caught.value.__cause__, OSError)


def test_vanished_file_is_an_error(tmp_path: Path) -> None:
    """A file that has gone since it was found is a ReadError with its path, and the system's error as its cause."""
    with pytest.raises(ReadError, match="cannot be read: No such file") as caught:
        read_document(tmp_path / "gone.md")
    assert caught.value.path == tmp_path / "gone.md"
    assert caught.value.hint == "see that it is still there, and try again"
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_never_opened(tmp_path: Path, kind: str) -> None:
    """A pipe put in the place of a file is not waited for, and a device not read without end."""
    path = Path("/dev/zero") if kind == "device" else tmp_path / "a.md"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(ReadError, match="cannot be read: not a regular file") as caught:
        read_document(path)
    assert isinstance(caught.value.__cause__, OSError)


def test_file_that_grew_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    """A file is measured again when it is read, and one within the limit comes whole."""
    path = tmp_path / "a.md"
    path.write_bytes(b"x" * 3 * 2**20)
    assert read_regular(path, max_bytes=3 * 2**20) == b"x" * 3 * 2**20
    with pytest.raises(OSError, match="larger than 2 MiB"):
        read_regular(path, max_bytes=2 * 2**20)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no file here hides its size")
def test_file_that_does_not_tell_its_size_comes_whole() -> None:
    """A size of nought is not believed."""
    assert read_regular(Path("/proc/self/status")).startswith(b"Name:")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (AssertionError("unexpected\n  call " + "x" * 1000), f"AssertionError: unexpected call {'x' * 184}"),
        (MemoryError(), "MemoryError"),
        (RecursionError("maximum recursion depth exceeded"), "RecursionError: maximum recursion depth exceeded"),
        (IndexError("list index out of range"), "IndexError: list index out of range"),
    ],
    ids=["assertion", "memory", "recursion", "index"],
)
def test_failure_of_a_reader_is_an_error_of_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    """Whatever a parser raises becomes one line that names the format, with file, cause and a way out."""

    def parse(text: str) -> None:
        raise error

    monkeypatch.setattr("pipeline.read.rst.parse", parse)
    with pytest.raises(ReadError) as caught:
        read(tmp_path, "a.rst", "text")
    assert caught.value.message == f"cannot be read as rst: {message}"
    assert caught.value.path == tmp_path / "a.rst"
    assert caught.value.hint.startswith("name it .txt to have it read as plain text")
    assert caught.value.__cause__ is error


MOSTLY_UTF8 = "Die Größe der Flüsse und die Höhe der Brücken über sie sind für Schiffe wichtig.\n"


@pytest.mark.parametrize(
    ("content", "text", "metadata", "notices"),
    [
        (
            MOSTLY_UTF8.encode() + b"bad \xff byte, \xe9 too\n",
            MOSTLY_UTF8 + "bad \ufffd byte, \ufffd too\n",
            {},
            ("not all of it is utf-8: unreadable bytes in 2 places",),
        ),
        ("größe".encode("utf-16-le"), "größe", {"encoding": "utf-16-le"}, ()),
        ("größe".encode("utf-16-be"), "größe", {"encoding": "utf-16-be"}, ()),
        (
            b"\xef\xbb\xbf" + "größe und höhe".encode() + b"\xff",
            "größe und höhe\ufffd",
            {"encoding": "utf-8-sig"},
            ("not all of it is utf-8-sig: unreadable bytes in 1 place",),
        ),
        (MOSTLY_UTF8.encode("cp1252") * 5000, MOSTLY_UTF8 * 5000, {"encoding": "cp1252"}, ()),
    ],
    ids=["a few bad bytes", "utf-16-le without a mark", "utf-16-be without a mark", "bad after a mark", "long legacy"],
)
def test_bytes_that_do_not_fit(
    tmp_path: Path, content: bytes, text: str, metadata: dict[str, str], notices: tuple[str, ...]
) -> None:
    """A few bad bytes are replaced and said, and are no reason to take the file for another encoding."""
    document = read(tmp_path, "a.txt", content)
    assert document.text == text
    assert document.metadata == metadata
    assert document.notices == notices
