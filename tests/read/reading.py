"""What the tests of the readers share: a file written and read, and its blocks in a form to compare."""

from pathlib import Path

from pipeline.read import read_document
from pipeline.types import Document, LineIndex


def read(folder: Path, name: str, content: str | bytes) -> Document:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    document = read_document(path)
    last = 0
    for block in document.blocks:
        assert last <= block.start < block.end <= len(document.text), "blocks are in order and do not overlap"
        last = block.end
    return document


def blocks(document: Document) -> list[tuple[str, str, str]]:
    return [(block.kind, block.title, document.text[block.start : block.end]) for block in document.blocks]


def line_of(document: Document, text: str) -> int:
    return LineIndex(document).line_at(document.text.index(text))


def page_of(document: Document, text: str) -> int | None:
    return LineIndex(document).page_at(document.text.index(text))
