"""CSV and TSV: a line for each record, under the names of the columns, with the line of the file it starts at."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace

from pipeline.read import text as plain
from pipeline.read.assembly import Assembly
from pipeline.read.formats import Parsed
from pipeline.read.lines import each_line
from pipeline.read.metadata import standard
from pipeline.read.rows import is_header, row_lines, squeezed

DELIMITERS = ",\t;|"
SNIFFED_LINES = 20
LONGEST_SNIFFED = 10_000


def parse(text: str) -> Parsed:
    places: list[int] = []
    try:
        lines = list(row_lines(_records(text, places)))
    except csv.Error as error:  # such as a quote that never ends
        return replace(plain.as_paragraphs(text), metadata={"not_parsed": str(error)})
    first = squeezed(next(iter(_records(text, [])), []))
    metadata = standard([("columns", ", ".join(first))] if is_header(first) and len(lines) > 1 else [])
    metadata["record_count"] = str(max(0, len(lines) - bool(metadata)))
    assembly = Assembly()
    # Where each record is a line, the lines are those of the text: nothing has to be noted a million times.
    noted = () if places == list(range(1, len(places) + 1)) else places
    assembly.add("\n".join(lines), "table", lines=noted)
    return assembly.finish(metadata=metadata)


def _records(text: str, places: list[int]) -> Iterator[list[str]]:
    """The records that hold anything; notes the line at which each starts."""
    reader = csv.reader((line + "\n" for line in text.split("\n")), delimiter=_delimiter(text))
    start = 1
    for record in reader:
        if any(cell.strip() for cell in record):
            places.append(start)
            yield record
        start = reader.line_num + 1


def _delimiter(text: str) -> str:
    """The character that stands equally often in the first lines, and most often of those that do."""
    lines: list[str] = []
    for line in each_line(text):
        if not line.blank:
            lines.append(line.content[:LONGEST_SNIFFED])
        if len(lines) == SNIFFED_LINES:
            break

    def evidence(delimiter: str) -> tuple[int, int]:
        counts = [line.count(delimiter) for line in lines] or [0]
        usual = max(set(counts), key=counts.count)
        return (counts.count(usual) if usual else 0, usual)

    return max(DELIMITERS, key=evidence)
