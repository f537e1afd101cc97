"""Source code of the languages that have no reader of their own: the file as it is, in blocks between blank lines.

What stands where in the syntax is for the chunker to find out: `metadata["language"]` says what language it is.
"""

from __future__ import annotations

from pipeline.read.formats import Parsed
from pipeline.read.lines import each_line, paragraphs


def parse(text: str) -> Parsed:
    return Parsed(text=text, blocks=tuple(paragraphs(each_line(text), kind="code")))
