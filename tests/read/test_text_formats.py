"""Readers of text formats beside the markup languages: tables, JSON, notebooks, LaTeX, code; and what files say of
themselves.
"""

import json
from pathlib import Path

import pytest

from pipeline.errors import ReadError
from pipeline.read.metadata import iso_date, standard
from tests.read.reading import blocks, line_of, read

CSV = 'Port,Height,Remark\nNess,4.2 m,"high,\nand low"\n\nWick,3.9 m,\n'


def test_csv(tmp_path: Path) -> None:
    """Each record is a line that names its columns, and knows the line of the file at which it starts."""
    document = read(tmp_path, "tides.csv", CSV)
    assert blocks(document) == [
        (
            "table",
            "",
            "Port | Height | Remark\nPort: Ness; Height: 4.2 m; Remark: high, and low\nPort: Wick; Height: 3.9 m",
        )
    ]
    assert document.metadata == {"columns": "Port, Height, Remark", "record_count": "2"}
    assert [line_of(document, word) for word in ("Port |", "Ness", "Wick")] == [1, 2, 5]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.tsv", "Port\tHeight\nNess\t4,2\n", "Port | Height\nPort: Ness; Height: 4,2"),
        (
            "a.csv",
            "Port;Height\nNess;4,2\nWick;3,9\n",
            "Port | Height\nPort: Ness; Height: 4,2\nPort: Wick; Height: 3,9",
        ),
        ("a.csv", "1,2\n3,4\n", "1 | 2\n3 | 4"),
        ("a.csv", "one\ntwo\n", "one\ntwo"),
        ("a.csv", "a,b\n1,2,3\n", "a | b\na: 1; b: 2; 3"),
        ("a.csv", 'a,b\n"never closed,1\n', "a | b\na: never closed,1"),
        ("a.csv", "", ""),
    ],
    ids=["tabs", "semicolons", "numbers only", "one column", "too many cells", "an open quote", "empty"],
)
def test_csv_of_all_kinds(tmp_path: Path, name: str, content: str, text: str) -> None:
    """The delimiter is told from the lines; a first row of numbers names no columns; no cell is lost."""
    assert read(tmp_path, name, content).text == text


def test_csv_that_the_library_refuses_is_text(tmp_path: Path) -> None:
    """A field beyond the library's limit leaves a text file, with the reason."""
    document = read(tmp_path, "a.csv", 'a,b\n"' + "x" * 200_000)
    assert document.text == 'a,b\n"' + "x" * 200_000
    assert document.metadata == {"not_parsed": "field larger than field limit (131072)"}


def test_csv_of_one_line_a_record_keeps_no_places(tmp_path: Path) -> None:
    """Where lines of text are those of the file, a large table costs no list of them."""
    document = read(tmp_path, "a.csv", "a,b\n" + "1,2\n" * 1000)
    assert document.source_lines == ()
    assert document.metadata["record_count"] == "1000"
    assert document.text.count("\n") == 1000


JSON = """{
  "title": "Keys",
  "author": "M. Tern",
  "steps": [
    "rotate",
    {"name": "check", "who": null, "done": true}
  ],
  "note": "caf\\u00e9\\nnext line",
  "empty": {}
}
"""


def test_json(tmp_path: Path) -> None:
    """Members become lines `key: value`, indented as they are nested, with the lines of the file."""
    document = read(tmp_path, "keys.json", JSON)
    assert document.text == (
        "title: Keys\nauthor: M. Tern\nsteps:\n  - rotate\n  -\n    name: check\n    done: true\n\n"
        "note: café\nnext line\nempty:"
    )
    assert document.title == "Keys"
    assert document.metadata == {"title": "Keys", "author": "M. Tern"}
    assert [line_of(document, word) for word in ("title", "rotate", "check", "note", "next", "empty")] == [
        2,
        5,
        6,
        8,
        8,
        9,
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"id": 1, "text": "one"}\n\n{"id": 2, "text": "two"}\n'),
        ("a.json", '[\n{"id": 1, "text": "one"},\n\n{"id": 2, "text": "two"}]'),
    ],
    ids=["lines", "list"],
)
def test_json_records(tmp_path: Path, name: str, content: str) -> None:
    """Each line of JSON lines, and each item of an outermost list, is a block of its own that knows its line."""
    document = read(tmp_path, name, content)
    assert [text for _, _, text in blocks(document)] == ["id: 1\ntext: one", "id: 2\ntext: two"]
    assert document.metadata == {"record_count": "2"}
    first = 1 + content.startswith("[")
    assert [line_of(document, word) for word in ("one", "two")] == [first, first + 2]


@pytest.mark.parametrize("value", [1, "two\nlines", None, True, [], {}, [[]], {"a": {"b": [1, {"c": [None, 2]}]}}])
def test_json_that_the_library_writes_is_taken(tmp_path: Path, value: object) -> None:
    """Whatever the standard library writes is JSON here too, compact or indented."""
    for indent in (None, 2):
        document = read(tmp_path, "a.json", json.dumps(value, indent=indent))
        assert "syntax_error" not in document.metadata


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"a" 1}', "a colon is missing in line 1"),
        ('{"a": 1\n "b": 2}', "a comma is missing in line 2"),
        ("[1,\n,2]", "a comma out of place in line 2"),
        ("[1, 2", "it ends too early"),
        ("[1]]", "a bracket out of place in line 1"),
        ("{1: 2}", "a key is missing in line 1"),
        ("[1,]", "a bracket out of place in line 1"),
        ("plain\nwords", "line 1 is no JSON"),
        ("[" * 100_000, "it ends too early"),
        ('["\\q"]', "a string that is none: Invalid \\escape: line 1 column 2 (char 1)"),
    ],
    ids=lambda value: value[:12],
)
def test_json_that_is_none_is_text(tmp_path: Path, content: str, reason: str) -> None:
    """What is no JSON is read as it stands, and its metadata says what is wrong, and where."""
    document = read(tmp_path, "a.json", content)
    assert document.text == content
    assert document.metadata == {"syntax_error": reason}


def test_json_nested_without_end(tmp_path: Path) -> None:
    """A hundred thousand levels cost no recursion, and no indentation without end."""
    depth = 100_000
    document = read(tmp_path, "a.json", '{"a":' * depth + '"core"' + "}" * depth)
    assert document.text.endswith("a: core")
    assert len(document.text) < 20 * depth


NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Tides\n", "\n", "Heights at *Ness*."]},
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["4.2\n"]},
                {"output_type": "display_data", "data": {"image/png": "aGVsbG8=", "text/plain": ["<Figure>"]}},
                {"output_type": "error", "ename": "KeyError", "evalue": "'Wick'", "traceback": ["long"]},
            ],
            "source": ["height = tides['Ness']\n", "print(height)"],
        },
        {"cell_type": "raw", "metadata": {}, "source": "as one string"},
    ],
    "metadata": {"kernelspec": {"language": "python", "name": "python3"}, "authors": [{"name": "M. Tern"}]},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.mark.parametrize("indent", [1, None], ids=["as Jupyter writes it", "on one line"])
def test_notebook(tmp_path: Path, indent: int | None) -> None:
    """Cells in order, Markdown by its blocks, code with what it printed; lines are those of the notebook's file."""
    source = json.dumps(NOTEBOOK, indent=indent)
    document = read(tmp_path, "tides.ipynb", source)
    assert document.title == "Tides"
    assert document.metadata == {"author": "M. Tern", "language": "python"}
    assert blocks(document) == [
        ("heading", "Tides", "# Tides"),
        ("paragraph", "", "Heights at *Ness*."),
        ("code", "", "height = tides['Ness']\nprint(height)"),
        ("code", "", "4.2\n<Figure>\nKeyError: 'Wick'"),
        ("code", "", "as one string"),
    ]
    lines = source.split("\n")
    for word in ("# Tides", "Heights", "height =", "print(height)", "as one string"):
        assert word in lines[line_of(document, word) - 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is no notebook"), ('{"worksheets": []}', "format before version 4"), ("[" * 100_000, "is no notebook")],
    ids=["cut off", "old", "nested"],
)
def test_notebook_that_is_none(tmp_path: Path, content: str, message: str) -> None:
    """A file that is no notebook is an error that says what to do."""
    with pytest.raises(ReadError, match=message) as caught:
        read(tmp_path, "a.ipynb", content)
    assert caught.value.hint == "open it in Jupyter, and save it again"


LATEX = r"""% a comment
\documentclass{article}
\usepackage[english,ngerman]{babel}
\title{Tides at \emph{Ness}\thanks{for all}}
\author{M. Tern \and A. Gull}
\date{12 March 2024}
\begin{document}
\maketitle
\section{High water}\label{high}
It comes twice
a day. % aside

% left out
\begin{itemize}
\item one
\item two
\end{itemize}
\begin{tabular}{ll}
Ness & 4.2

\\ Wick & 3.9
\end{tabular}
\subsection*{How to
measure}
\begin{verbatim}
\section{none}
\end{verbatim}
Last words.
\end{document}
Not read.
"""


def test_latex(tmp_path: Path) -> None:
    """Sections, items, environments and paragraphs with the source as it stands; the preamble is metadata."""
    document = read(tmp_path, "tides.tex", LATEX)
    assert document.text == LATEX
    assert document.title == "Tides at Ness"
    assert document.metadata == {
        "title": "Tides at Ness",
        "author": "M. Tern, A. Gull",
        "date": "2024-03-12",
        "language": "de",
    }
    assert blocks(document) == [
        ("heading", "High water", "\\section{High water}\\label{high}"),
        ("paragraph", "", "It comes twice\na day. % aside"),
        ("list_item", "", "\\item one"),
        ("list_item", "", "\\item two"),
        ("table", "", "\\begin{tabular}{ll}\nNess & 4.2\n\n\\\\ Wick & 3.9\n\\end{tabular}"),
        ("heading", "How to measure", "\\subsection*{How to\nmeasure}"),
        ("code", "", "\\begin{verbatim}\n\\section{none}\n\\end{verbatim}"),
        ("paragraph", "", "Last words."),
    ]
    assert [block.level for block in document.blocks if block.title] == [2, 3]


@pytest.mark.parametrize(
    "part", ["\\begin{verbatim}\nx\n", "\\section{", "\\title{", "{", "\\item ", "\n\\begin{table}\n\n"]
)
def test_latex_that_never_ends_takes_linear_time(tmp_path: Path, part: str) -> None:
    """What is opened a hundred thousand times and never closed is read in a moment, and nothing is lost."""
    document = read(tmp_path, "a.tex", part * 100_000)
    kept = sum(block.end - block.start for block in document.blocks)
    assert kept >= len((part * 100_000).replace("\n", ""))


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.rs", "rust"),
        ("a.TS", "typescript"),
        ("Dockerfile", "dockerfile"),
        ("CMakeLists.txt", "cmake"),
        ("a.yml", "yaml"),
        ("a.h", "c"),
    ],
)
def test_code(tmp_path: Path, name: str, language: str) -> None:
    """Source code is its own text in blocks between blank lines, and says what language it is in."""
    document = read(tmp_path, name, "one {\n  two\n}\n\nthree\n")
    assert document.format == "code"
    assert document.metadata == {"language": language}
    assert blocks(document) == [("code", "", "one {\n  two\n}"), ("code", "", "three")]


FRONT = """---
title: "Tide & time: a study"
authors: [M. Tern, A. Gull]
created: 2024-03-01
lang: en
tags:
  - sea
  - moon
draft: false
review: {by: B. Auk}
---
text
"""


def test_yaml_front_matter(tmp_path: Path) -> None:
    """Lists, quotes, dates and mappings of front matter come under the keys that all formats share."""
    document = read(tmp_path, "a.md", FRONT)
    assert document.metadata == {
        "title": "Tide & time: a study",
        "author": "M. Tern, A. Gull",
        "date": "2024-03-01",
        "language": "en",
        "keywords": "sea, moon",
        "draft": "false",
        "review.by": "B. Auk",
    }
    assert blocks(document) == [("paragraph", "", "text")]


def test_toml_front_matter(tmp_path: Path) -> None:
    """Front matter between plus signs is TOML."""
    document = read(tmp_path, "a.md", '+++\ntitle = "Tides"\ndate = 2024-03-01T10:00:00Z\n+++\ntext\n')
    assert document.metadata == {"title": "Tides", "date": "2024-03-01T10:00:00+00:00"}


@pytest.mark.parametrize(
    ("front", "metadata"),
    [
        ("title: a: b\nauthor: M. Tern", {"title": "a: b", "author": "M. Tern"}),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", {"a": "&a [x, x]", "b": "&b [*a, *a]", "c": "[*b, *b]"}),
        ("date: 2024-99-99", {"date": "2024-99-99"}),
        ("- only\n- a list", {}),
        ("deep: " + "[" * 5000, {"deep": "[" * 1000}),
    ],
    ids=["no YAML", "references", "no date", "a list", "nested"],
)
def test_front_matter_that_is_odd(tmp_path: Path, front: str, metadata: dict[str, str]) -> None:
    """What YAML cannot make sense of, or only at great cost, is read line by line."""
    document = read(tmp_path, "a.md", f"---\n{front}\n---\ntext\n")
    assert document.metadata == metadata
    assert blocks(document) == [("paragraph", "", "text")]


def test_html_says_what_it_is(tmp_path: Path) -> None:
    """The language of a page and its `meta` tags are metadata, under the keys that all formats share."""
    page = """<html lang='en-GB'><head><title>Tides</title><meta name="author" content="M. Tern &amp; co">
    <META property=article:published_time content="2024-03-01T09:00:00Z"/><meta name="viewport" content="x">
    <meta name=keywords content='sea, moon'></head><body><p>text</p></body></html>"""
    assert read(tmp_path, "a.html", page).metadata == {
        "language": "en-GB",
        "author": "M. Tern & co",
        "date": "2024-03-01T09:00:00+00:00",
        "keywords": "sea, moon",
    }


def test_rst_says_what_it_is(tmp_path: Path) -> None:
    """Bibliographic fields near the title are metadata."""
    document = read(tmp_path, "a.rst", "Tides\n=====\n\n:Author: M. Tern\n:Date: 1 March 2024\n:Rare: no\n\ntext\n")
    assert document.metadata == {"author": "M. Tern", "date": "2024-03-01"}


@pytest.mark.parametrize(
    ("given", "date"),
    [
        ("2024-03-01", "2024-03-01"),
        ("2024-03", "2024-03"),
        ("2024-03-01 10:30", "2024-03-01T10:30:00"),
        ("2024-03-01T10:30:00Z", "2024-03-01T10:30:00+00:00"),
        ("D:20240301103000+02'00'", "2024-03-01T10:30:00+02:00"),
        ("D:20240301", "2024-03-01"),
        ("Fri, 01 Mar 2024 10:30:00 +0200", "2024-03-01T10:30:00+02:00"),
        ("March 1, 2024", "2024-03-01"),
        ("01.03.2024", "2024-03-01"),
        ("March 2024", "2024-03"),
        ("D:20241399", "D:20241399"),
        ("last spring", "last spring"),
    ],
)
def test_dates(given: str, date: str) -> None:
    """Dates of every common notation become ISO 8601; what is no date stays as it is."""
    assert iso_date(given) == date


def test_metadata_is_bounded() -> None:
    """Keys and values are one line of bounded length, and there are so many of them; the first of a key counts."""
    found = standard([("A\nb", "x\n" * 5000), ("author", "one"), ("creator", "two"), ("none", None)])
    assert found == {"a b": ("x " * 500), "author": "one"}
    assert len(standard([(f"k{number}", "x") for number in range(1000)])) == 64
