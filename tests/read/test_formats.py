"""Readers: what each format's structure becomes, with exact spans and lines of the file."""

from pathlib import Path

import pytest

from pipeline.errors import ReadError
from pipeline.read import read_document
from pipeline.types import Document, LineIndex


def read(tmp_path: Path, name: str, content: str | bytes) -> Document:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path)


def blocks(document: Document) -> list[tuple[str, str, str]]:
    return [(block.kind, block.title, document.text[block.start : block.end]) for block in document.blocks]


MARKDOWN = """---
title: Keys
author: "M. Tern"
---
# Key *rotation* [guide](x.md)

Intro text
on two lines.

Second
======

- one
- two
  - nested

| a | b |
|---|---|
| 1 | 2 |

```sh
# not a heading
```
> quoted
"""


def test_markdown(tmp_path: Path) -> None:
    """Front matter is metadata; headings, paragraphs, items, tables, fences and quotes are blocks with exact spans."""
    document = read(tmp_path, "keys.md", MARKDOWN)
    assert document.title == "Keys"
    assert document.metadata == {"title": "Keys", "author": "M. Tern"}
    assert blocks(document) == [
        ("heading", "Key rotation guide", "# Key *rotation* [guide](x.md)"),
        ("paragraph", "", "Intro text\non two lines."),
        ("heading", "Second", "Second\n======"),
        ("list_item", "", "- one"),
        ("list_item", "", "- two"),
        ("list_item", "", "  - nested"),
        ("table", "", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("code", "", "```sh\n# not a heading\n```"),
        ("quote", "", "> quoted"),
    ]


def test_markdown_with_windows_line_ends(tmp_path: Path) -> None:
    """Carriage returns stay in the text, and spans stay exact."""
    document = read(tmp_path, "a.md", "# A\r\n\r\ntext\r\n")
    assert document.text == "# A\r\n\r\ntext\r\n"
    assert blocks(document) == [("heading", "A", "# A"), ("paragraph", "", "text")]


HTML = """<!doctype html>
<html><head><title>Tide &amp; time</title><style>p {}</style></head>
<body><nav>Home About</nav>
<header>Site name</header>
<article>
<header><h1>Tides at <em>Caf&eacute;</em></h1></header>
<p>High water
is at <b>six</b>.</p>
<script>ignored()</script>
<ul><li>one</li><li>two</li></ul>
<table>
<tr><th>Port</th><th>Height</th></tr>
<tr><td>Ness</td><td>4.2 m</td></tr>
</table>
<pre>a
  b</pre>
</article>
<footer>imprint</footer></body></html>
"""


def test_html(tmp_path: Path) -> None:
    """The text that a reader sees, without the page around it; each line knows its line in the file."""
    document = read(tmp_path, "tides.html", HTML)
    assert document.title == "Tide & time"
    assert blocks(document) == [
        ("heading", "Tides at Café", "Tides at Café"),
        ("paragraph", "", "High water is at six."),
        ("list_item", "", "one"),
        ("list_item", "", "two"),
        ("table", "", "Port | Height\nNess | 4.2 m"),
        ("code", "", "a\n  b"),
    ]
    lines = LineIndex(document)
    source = HTML.split("\n")
    for word in ("Tides", "High", "is at", "two", "Port", "4.2", "  b"):
        assert word.strip() in source[lines.line_at(document.text.index(word)) - 1]


def test_html_nested_ten_thousand_deep(tmp_path: Path) -> None:
    """Hostile nesting costs no recursion and loses no text."""
    document = read(tmp_path, "deep.html", "<div>" * 10_000 + "core" + "</div>" * 10_000)
    assert document.text == "core"


PYTHON = '''"""Queues that retry.

More."""

import time


# Explains the class.
class Queue:
    """A queue."""

    size = 3

    def put(self, item):
        self.items.append(item)


@decorator
def run():
    pass
'''


def test_python(tmp_path: Path) -> None:
    """Definitions open sections; decorators and comments above belong to them; the docstring gives the title."""
    document = read(tmp_path, "queue.py", PYTHON)
    assert document.title == "Queues that retry."
    assert [(title, text.splitlines()[0]) for _, title, text in blocks(document)] == [
        ("", '"""Queues that retry.'),
        ("class Queue", "# Explains the class."),
        ("", '    """A queue."""'),
        ("def put", "    def put(self, item):"),
        ("def run", "@decorator"),
    ]
    assert [block.level for block in document.blocks] == [0, 1, 0, 2, 1]


def test_python_that_does_not_parse_is_text(tmp_path: Path) -> None:
    """A syntax error is noted, and the file is still read."""
    document = read(tmp_path, "bad.py", "def broken(:\n\nprint 1\n")
    assert [text for _, _, text in blocks(document)] == ["def broken(:", "print 1"]
    assert "syntax_error" in document.metadata


RST = """=====
Title
=====

Intro::

    literal text

    more of it

Section
-------

.. note:: Careful.
   Second line.

.. code-block:: python

   x = 1

.. a comment
   of two lines

- item one
- item two

=====  =====
a      b
=====  =====
1      2
=====  =====
"""


def test_rst(tmp_path: Path) -> None:
    """Sections by their adornment, literal blocks, directives, items and tables; comments are left out."""
    document = read(tmp_path, "a.rst", RST)
    assert document.title == "Title"
    assert blocks(document) == [
        ("heading", "Title", "=====\nTitle\n====="),
        ("paragraph", "", "Intro::"),
        ("code", "", "    literal text\n\n    more of it"),
        ("heading", "Section", "Section\n-------"),
        ("paragraph", "", ".. note:: Careful.\n   Second line."),
        ("code", "", ".. code-block:: python\n\n   x = 1"),
        ("list_item", "", "- item one"),
        ("list_item", "", "- item two"),
        ("table", "", "=====  =====\na      b\n=====  =====\n1      2\n=====  ====="),
    ]
    assert [block.level for block in document.blocks if block.kind == "heading"] == [1, 2]


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
    """What is no text is refused with the reason."""
    with pytest.raises(ReadError, match=message):
        read(tmp_path, "a.txt", content)


def test_vanished_file_is_an_error(tmp_path: Path) -> None:
    """A file that has gone since it was found is a ReadError with its path."""
    with pytest.raises(ReadError, match="cannot be read: No such file") as caught:
        read_document(tmp_path / "gone.md")
    assert caught.value.path == tmp_path / "gone.md"
