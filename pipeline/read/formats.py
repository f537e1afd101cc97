"""Which reader reads which file. A format is a name, its suffixes and the module whose `parse` reads its text."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.types import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a reader makes of a file's content: the text that spans refer to, and its structure."""

    text: str
    blocks: tuple[Block, ...]
    title: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    source_lines: tuple[tuple[int, int], ...] = ()


MODULES = {
    "markdown": "pipeline.read.markdown",
    "text": "pipeline.read.text",
    "html": "pipeline.read.html",
    "python": "pipeline.read.python",
    "rst": "pipeline.read.rst",
}

SUFFIXES = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".log": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".py": "python",
    ".pyi": "python",
    ".rst": "rst",
    ".rest": "rst",
}

NAMES = {
    "README": "text",
    "LICENSE": "text",
    "LICENCE": "text",
    "NOTICE": "text",
    "CHANGELOG": "text",
    "COPYING": "text",
}


def format_of(path: Path) -> str | None:
    """The format of a file by its name, or None if no reader takes it."""
    return SUFFIXES.get(path.suffix.lower()) or NAMES.get(path.name.upper())


def reader_of(name: str) -> Callable[[str], Parsed]:
    """The function that reads a file's decoded content."""
    return importlib.import_module(MODULES[name]).parse
