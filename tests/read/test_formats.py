"""Readers: what each format's structure becomes, with exact spans and lines of the file."""

from pathlib import Path

import pytest

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


def test_markdown_nested_deeper_than_its_parser_goes_by_itself(tmp_path: Path) -> None:
    """Items 50 levels deep are there, where the parser would drop all beyond ten."""
    lines = [f"{'  ' * level}- item {level}" for level in range(50)]
    document = read(tmp_path, "a.md", "\n".join(lines))
    assert blocks(document) == [("list_item", "", line) for line in lines]


@pytest.mark.parametrize("mark", ["> ", "- ", "1. "])
def test_markdown_nested_without_end_is_text(tmp_path: Path, mark: str) -> None:
    """Hostile nesting loses no text."""
    document = read(tmp_path, "a.md", f"---\ntitle: Deep\n---\n{mark * 2000}core\n\nmore\n")
    assert document.title == "Deep"
    assert document.blocks[0].start == document.text.index(mark)
    assert "".join(document.text[block.start : block.end] for block in document.blocks).endswith("coremore")


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("# Key *rotation* [guide](x.md)", "Key rotation guide"),
        ("# On [sets](https://example.org/Set_(mathematics)) and `code`", "On sets and code"),
        ("# " + "[" * 100_000, "[" * 100_000),
        ("# " + "[](" * 100_000, "[](" * 100_000),
    ],
    ids=["marks", "parentheses in a link", "brackets", "links without an end"],
)
def test_markdown_titles(tmp_path: Path, heading: str, title: str) -> None:
    """A heading's title is its text without marks, in time that is linear in its length."""
    assert read(tmp_path, "a.md", heading).title == title


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


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ("<![foo[ bar ]]>", "before\n\nafter"),
        ("<![ x", "beforeafter"),
        ("<![if !IE]>shown<![endif]>", "beforeshown\n\nafter"),
        ("<![CDATA[a < b &amp; c]]>", "beforea < b &amp; c\n\nafter"),
        ("<![CDATA[ x>y", "beforey\n\nafter"),
        ("<!>", "before\n\nafter"),
        ("<!doctype x [ <!entity> ]>", "before ]>\n\nafter"),
        ("<!-- a --!><!--> b <!-- > --> c", "before b c\n\nafter"),
        ("<!-- without end", "beforeafter"),
        ("<?php echo 1 ?>", "before\n\nafter"),
        ("a < b, 3 <4, </ x>y", "beforea < b, 3 <4, y\n\nafter"),
        ("<a title='it\">s' href = \"x>y\" q=it's>z</a>", "beforez\n\nafter"),
        ('<b title="without end>z</b>', "beforez\n\nafter"),
        ("<title>a <b> &amp; c</title>", "before\n\nafter"),
        ("<title>without end", "beforewithout end\n\nafter"),
        ("<script>if (a</b>) '<!--'</script >z", "beforez\n\nafter"),
        ("&#" + "9" * 5000 + ";&lt;&copy", "before&#" + "9" * 5000 + ";&lt;&copy\n\nafter"),
    ],
    ids=lambda value: value[:20],
)
def test_html_that_is_odd(tmp_path: Path, odd: str, text: str) -> None:
    """Whatever stands in a page, the text before and after it is there. What does not end, ends at the next >."""
    assert read(tmp_path, "a.html", f"<p>before{odd}<p>after").text == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("<!--", "<!--" * 100_000),
        ("</a", "</a" * 100_000),
        ("<a", "<a" * 100_000),
        ('<a x="', '<a x="' * 100_000),
        ("<![CDATA[", "<![CDATA[" * 100_000),
        ("<!-- >", ""),
        ('<a x=">', ""),
        ("<title>", ""),
        ("<script>", ""),
        ("<nav></form>", ""),
        ("&#x", "&#x" * 100_000),
        ("<p>a", "\n\n".join("a" * 100_000)),
    ],
)
def test_html_takes_time_that_is_linear_in_its_size(tmp_path: Path, part: str, text: str) -> None:
    """What never ends, a hundred thousand times, is read in a moment: quadratic time would be hours."""
    assert read(tmp_path, "a.html", part * 100_000).text == text


def test_html_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """A reference to a line feed, which is none in the file, moves no line."""
    document = read(tmp_path, "a.html", "<p>one&#10;still one\ntwo <b>two</b></p>\n<pre>a&#10;a\nfour</pre>")
    assert document.text == "one still one two two\n\na\na\nfour"
    lines = LineIndex(document)
    assert [lines.line_at(document.text.index(word)) for word in ("still", "two", "a\na", "four")] == [1, 2, 3, 4]


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


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_python_with_any_line_ends(tmp_path: Path, end: str) -> None:
    """A carriage return on its own ends a line, as it does for Python."""
    document = read(tmp_path, "a.py", end.join(["x = 1", "", "def one():", "    pass", "", "def two():", "    pass"]))
    assert blocks(document) == [
        ("code", "", "x = 1"),
        ("code", "def one", f"def one():{end}    pass"),
        ("code", "def two", f"def two():{end}    pass"),
    ]


def test_python_with_mixed_line_ends(tmp_path: Path) -> None:
    """One stray carriage return in a file shifts no definition."""
    document = read(tmp_path, "a.py", 'x = """a\rb\r\r\nc"""\n\n\ndef one():\n    pass\n')
    assert blocks(document) == [("code", "", 'x = """a\rb\r\r\nc"""'), ("code", "def one", "def one():\n    pass")]


@pytest.mark.parametrize(
    "expression",
    ["-" * 200_000, "x" + ".a" * 100_000, "1" + "+1" * 100_000, "[" * 300, "not " * 100_000],
    ids=lambda expression: expression[:8],
)
def test_python_too_deep_for_its_parser_is_text(tmp_path: Path, expression: str) -> None:
    """What the parser gives up on is read like any file that does not parse, with the reason."""
    document = read(tmp_path, "a.py", f"import os\n\n{expression}\n")
    assert [text for _, _, text in blocks(document)] == ["import os", expression]
    assert document.metadata["syntax_error"]


def test_python_that_is_huge_is_text(tmp_path: Path) -> None:
    """A syntax tree takes hundreds of times the memory of its file, so data in a module is not parsed."""
    document = read(tmp_path, "a.py", "def one():\n    pass\n\n" + "x = 1\n" * 200_000)
    assert [text[:10] for _, _, text in blocks(document)] == ["def one():", "x = 1\nx = "]
    assert document.metadata == {"not_parsed": "longer than 1048576 characters"}


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
