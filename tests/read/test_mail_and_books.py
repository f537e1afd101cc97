"""E-mail, mailboxes, EPUB books and archives: what is kept, in which order, and what is told of the rest."""

import io
import tarfile
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from pipeline.errors import ReadError
from pipeline.read import Found, Skipped, discover
from tests.read.reading import blocks, line_of, read


def message(**headers: str) -> EmailMessage:
    mail = EmailMessage()
    for name, value in {"From": "M. Tern <tern@sea>", "To": "A. Gull <gull@sea>", **headers}.items():
        mail[name] = value
    return mail


def test_message(tmp_path: Path) -> None:
    """Subject, people and date are text and metadata; the lines of the body are those of the file."""
    mail = message(Subject="Höhe der Flut", Date="Fri, 01 Mar 2024 10:30:00 +0200", Cc="auk@sea")
    mail.set_content("First line.\n\nFourth paragraph\nends here.\n")
    content = mail.as_bytes()
    document = read(tmp_path, "tide.eml", content)
    assert blocks(document) == [
        ("heading", "Höhe der Flut", "Höhe der Flut"),
        (
            "paragraph",
            "",
            "From: M. Tern <tern@sea>\nTo: A. Gull <gull@sea>\nCc: auk@sea\nDate: 2024-03-01T10:30:00+02:00",
        ),
        ("paragraph", "", "First line."),
        ("paragraph", "", "Fourth paragraph\nends here."),
    ]
    assert document.title == "Höhe der Flut"
    assert document.metadata == {
        "from": "M. Tern <tern@sea>",
        "to": "A. Gull <gull@sea>",
        "cc": "auk@sea",
        "date": "2024-03-01T10:30:00+02:00",
        "subject": "Höhe der Flut",
        "author": "M. Tern <tern@sea>",
    }
    lines = content.decode().split("\n")
    for word in ("First line.", "Fourth paragraph", "ends here."):
        assert lines[line_of(document, word) - 1] == word


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64", "8bit"])
def test_encoded_text(tmp_path: Path, encoding: str) -> None:
    """Text comes decoded; in quoted-printable each line knows its own, in base64 all know the first."""
    long_line = "Die Größe der Flüsse " * 10
    mail = message(Subject="x")
    mail.set_content(f"{long_line}\nzweite Zeile\n", cte=encoding)
    content = mail.as_bytes()
    document = read(tmp_path, "a.eml", content)
    assert long_line.strip() in document.text
    line = content.decode().split("\n")[line_of(document, "zweite Zeile") - 1]
    assert ("zweite Zeile" in line) == (encoding != "base64")


def test_alternatives_and_attachments(tmp_path: Path) -> None:
    """Plain text is taken before HTML; attachments that can be read are, and the others are named."""
    mail = message(Subject="With files")
    mail.set_content("plain words\n")
    mail.add_alternative("<p>html words</p>", subtype="html")
    mail.add_attachment("# Heights\n\n4.2 m at Ness\n", subtype="markdown", filename="heights.md")
    mail.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="map.png")
    mail.add_attachment(b"no pdf", maintype="application", subtype="pdf", filename="broken.pdf")
    document = read(tmp_path, "a.eml", mail.as_bytes())
    assert "html words" not in document.text
    assert blocks(document)[2:] == [
        ("paragraph", "", "plain words"),
        ("heading", "heights.md", "heights.md"),
        ("heading", "Heights", "# Heights"),
        ("paragraph", "", "4.2 m at Ness"),
    ]
    assert [block.level for block in document.blocks if block.title] == [1, 2, 3]
    assert len(document.notices) == 1
    assert document.notices[0].startswith("2 parts not read: format .png, broken.pdf is no PDF, or broken")


def test_html_only(tmp_path: Path) -> None:
    """Where there is no plain text, the HTML is read as a page is."""
    mail = message(Subject="x")
    mail.set_content("<h1>Tides</h1><p>at&nbsp;six</p><script>no</script>", subtype="html")
    assert [text for _, _, text in blocks(read(tmp_path, "a.eml", mail.as_bytes()))[2:]] == ["Tides", "at six"]


def test_mailbox(tmp_path: Path) -> None:
    """Each message of a mailbox is a section that knows its lines; an encrypted one is told."""
    first, second, third = (message(Subject=f"number {number}") for number in range(3))
    first.set_content("first body\n\n>From the quay\n")
    second.set_content("second body\n")
    third["Content-Type"] = "multipart/encrypted; boundary=x"
    third.set_payload("--x\n\nsecret\n--x--\n")
    content = b"".join(
        b"From tern@sea Fri Mar  1 10:30:00 2024\n" + mail.as_bytes() + b"\n" for mail in (first, second, third)
    )
    document = read(tmp_path, "box.mbox", content)
    assert [title for _, title, _ in blocks(document) if title] == ["number 0", "number 1", "number 2"]
    assert document.metadata == {"message_count": "3"}
    assert "\nFrom the quay" in document.text
    assert "secret" not in document.text
    assert document.notices == ("1 part not read: encrypted",)
    lines = content.decode().split("\n")
    for word in ("first body", "second body"):
        assert lines[line_of(document, word) - 1] == word


def test_mail_that_is_none(tmp_path: Path) -> None:
    """A file without headers is no mail."""
    with pytest.raises(ReadError, match="is no e-mail: it has no headers"):
        read(tmp_path, "a.eml", "\njust text\n")


@pytest.mark.parametrize("depth", [50, 20_000])
def test_mail_nested_deeply(tmp_path: Path, depth: int) -> None:
    """Parts within parts are read to any depth that mail has, and refused beyond."""
    head = "".join(f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n" for level in range(depth))
    content = f"From: a@b\nSubject: deep\n{head}Content-Type: text/plain\n\ncore\n"
    if depth < 100:
        assert read(tmp_path, "a.eml", content).text.endswith("core")
    else:
        with pytest.raises(ReadError, match="is nested too deeply"):
            read(tmp_path, "a.eml", content)


def book(*, encryption: str = "", chapter: str = "<h1>One</h1><p>First chapter.</p>") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OEBPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
            "<dc:title>Tides</dc:title><dc:creator>M. Tern</dc:creator><dc:language>en</dc:language>"
            "<dc:date>2024-03-01</dc:date><dc:publisher>Quay</dc:publisher></metadata><manifest>"
            '<item id="two" href="text/two%20.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
            '<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="gone" href="text/gone.xhtml" media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/><itemref idref="gone"/></spine></package>',
        )
        archive.writestr("OEBPS/nav.xhtml", "<nav>Contents</nav><p>Contents</p>")
        archive.writestr("OEBPS/text/one.xhtml", f"<html><body>{chapter}</body></html>")
        archive.writestr("OEBPS/text/two .xhtml", "<html><body><h1>Two</h1><p>Second chapter.</p></body></html>")
        if encryption:
            archive.writestr("META-INF/encryption.xml", encryption)
    return target.getvalue()


def test_epub(tmp_path: Path) -> None:
    """Chapters come in the order of the spine, without the table of contents; a missing one is said."""
    document = read(tmp_path, "tides.epub", book())
    assert blocks(document) == [
        ("heading", "One", "One"),
        ("paragraph", "", "First chapter."),
        ("heading", "Two", "Two"),
        ("paragraph", "", "Second chapter."),
    ]
    assert document.title == "Tides"
    assert document.metadata == {
        "title": "Tides",
        "author": "M. Tern",
        "language": "en",
        "date": "2024-03-01",
        "publisher": "Quay",
    }
    assert document.notices == ("1 of its chapters cannot be read",)


def test_protected_epub(tmp_path: Path) -> None:
    """A book under copy protection is told; scrambled fonts protect nothing."""
    method = '<encryption><EncryptedData><EncryptionMethod Algorithm="{}"/></EncryptedData></encryption>'
    with pytest.raises(ReadError, match="is under copy protection"):
        read(tmp_path, "a.epub", book(encryption=method.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc")))
    fonts = book(encryption=method.format("http://www.idpf.org/2008/embedding"))
    assert read(tmp_path, "b.epub", fonts).title == "Tides"


def test_archives_are_opened_only_when_named(tmp_path: Path) -> None:
    """A walk counts archives as such; one that is named is a document, with a section for each file in it."""
    files = {"docs/a.md": "# Tides\n\nat six", "b.txt": "words", ".hidden.md": "x", "c.png": "x", "d.zip": "x"}
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    for name, content in (("notes.zip", zipped), ("notes.tar.gz", tarred)):
        document = read(tmp_path, name, content.getvalue())
        assert blocks(document) == [
            ("heading", "docs/a.md", "docs/a.md"),
            ("heading", "Tides", "# Tides"),
            ("paragraph", "", "at six"),
            ("heading", "b.txt", "b.txt"),
            ("paragraph", "", "words"),
        ]
        assert document.format == "archive"
        assert document.notices == ("3 files not read: hidden, format .png, format .zip",)
    skipped = sorted(item.reason for item in discover([tmp_path]) if isinstance(item, Skipped))
    assert skipped == ["archive .gz", "archive .zip"]
    assert [item.path.name for item in discover([tmp_path / "notes.zip"]) if isinstance(item, Found)] == ["notes.zip"]


def test_archive_that_is_none(tmp_path: Path) -> None:
    """What is no archive, by whatever name, is an error."""
    for name in ("a.zip", "a.tgz"):
        with pytest.raises(ReadError, match="is no archive, or broken"):
            read(tmp_path, name, "just text")


def test_broken_and_forwarded_mail(tmp_path: Path) -> None:
    """A message whose parts cannot be told apart is read as text; a forwarded one where it stands."""
    broken = "From: a@b\nSubject: x\nContent-Type: multipart/mixed; boundary=never\n\nstill words\n"
    assert read(tmp_path, "a.eml", broken).text.endswith("still words")
    inner = message(Subject="inner")
    inner.set_content("inner words\n")
    outer = message(Subject="outer")
    outer.set_content("outer words\n")
    outer.add_attachment(inner)
    document = read(tmp_path, "b.eml", outer.as_bytes())
    assert [text for _, _, text in blocks(document)[2:]] == [
        "outer words",
        "inner",
        "From: M. Tern <tern@sea>\nTo: A. Gull <gull@sea>",
        "inner words",
    ]
    assert document.notices == ()
