"""Jupyter notebooks: cells in order, Markdown with its headings, code with the text that it printed.

Lines are those of the notebook's file: each line of a cell where it stands, what a cell printed where its source ends.
Pictures and other outputs that are no text are left out.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.read import markdown
from pipeline.read.assembly import Assembly
from pipeline.read.formats import Parsed, Unreadable
from pipeline.read.metadata import standard

LONGEST_OUTPUT = 20_000
"""How many characters of a cell's output are kept: a log of a training run says little."""


def parse(text: str) -> Parsed:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is no notebook: {error}", hint="open it in Jupyter, and save it again") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise Unreadable("is a notebook of a format before version 4", hint="open it in Jupyter, and save it again")
    places = _Places(text)
    assembly = Assembly()
    for cell in cells:
        if isinstance(cell, dict):
            _add_cell(assembly, cell, places)
    about = _mapping(notebook.get("metadata"))
    language = _mapping(about.get("kernelspec")).get("language") or _mapping(about.get("language_info")).get("name")
    authors = [_mapping(author).get("name") for author in about.get("authors") or [] if author]
    metadata = standard([("title", about.get("title")), ("author", authors), ("language", language)])
    return assembly.finish(title=metadata.get("title", ""), metadata=metadata)


def _add_cell(assembly: Assembly, cell: dict[str, Any], places: _Places) -> None:
    source = _text(cell.get("source"))
    lines = places.of(source)
    if cell.get("cell_type") == "markdown":
        assembly.include(markdown.parse(source), lines=lines)
        return
    assembly.add(source, "code", lines=lines)
    outputs = cell.get("outputs")
    printed = "".join(_printed(output) for output in outputs if isinstance(output, dict)) if outputs else ""
    if len(printed) > LONGEST_OUTPUT:
        printed = printed[:LONGEST_OUTPUT] + "…"
    assembly.add(printed, "code", lines=lines[-1:])


def _printed(output: dict[str, Any]) -> str:
    """The text of an output, as a line or more."""
    if output.get("output_type") == "error":
        text = f"{output.get('ename')}: {output.get('evalue')}"
    else:
        text = _text(output.get("text") or _mapping(output.get("data")).get("text/plain"))
    return text if not text or text.endswith("\n") else text + "\n"


def _text(value: object) -> str:
    """Text that a notebook holds as a string or as a list of lines."""
    return "".join(part for part in value if isinstance(part, str)) if isinstance(value, list) else str(value or "")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


class _Places:
    """Finds the lines of cells in the file. Cells come in the order of the file, so one pass is enough."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._readable = True

    def of(self, source: str) -> list[int]:
        """The file's line of each line of a cell's source; one for all where they stand on one."""
        if not self._goes_to('"source"'):
            return [self._line]
        places: list[int] = []
        for line in source.splitlines(keepends=True) or [""]:
            found = self._readable and any(
                self._goes_to(json.dumps(line, ensure_ascii=ascii_only)) for ascii_only in (False, True)
            )
            self._readable = found  # what is not there in one cell, as none is a list of lines, is not in the next
            places.append(self._line)
        return places

    def _goes_to(self, wanted: str) -> bool:
        found = self._text.find(wanted, self._at)
        if found < 0:
            return False
        self._line += self._text.count("\n", self._at, found)
        self._at = found
        return True
