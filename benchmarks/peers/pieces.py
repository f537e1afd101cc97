"""What the peers' scripts share: the files, a plain way of cutting them for peers that have none, and the last line.

In: the command line `CORPUS URL TARGET BATCH`. Out: texts, spans of at most `LIMIT` characters, a JSON line on stdout.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

LIMIT = 1000
MODEL = "stand-in"
DIMENSION = 768


@dataclass(frozen=True, slots=True)
class Task:
    """What to index, with which server, where to put it, and how many texts a request takes where that is a choice."""

    corpus: Path
    url: str
    target: Path
    batch: int


def task() -> Task:
    corpus, url, target, batch = sys.argv[1:5]
    Path(target).mkdir(parents=True, exist_ok=True)
    return Task(Path(corpus), url, Path(target), int(batch))


def files(corpus: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(path for path in corpus.rglob("*") if path.is_file()):
        yield str(path), path.read_text(encoding="utf-8", errors="replace")


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Spans of at most LIMIT characters, cut at a paragraph, a line or a word."""
    start = 0
    while start < len(text):
        end = min(len(text), start + LIMIT)
        if end < len(text):
            for mark in ("\n\n", "\n", " "):
                cut = text.rfind(mark, start + LIMIT // 2, end)
                if cut > 0:
                    end = cut + len(mark)
                    break
        if not text[start:end].isspace():
            yield start, end
        start = end


def chunks(corpus: Path) -> Iterator[tuple[str, int, int, str]]:
    """Path, start, end and text of every chunk."""
    for path, text in files(corpus):
        for start, end in spans(text):
            yield path, start, end, text[start:end]


def slices(items: Iterator[tuple[str, int, int, str]], size: int) -> Iterator[list[tuple[str, int, int, str]]]:
    batch: list[tuple[str, int, int, str]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def report(count: int, *, imports: float, packages: tuple[str, ...]) -> None:
    """Ends a peer's run: how many chunks there are, seconds spent on imports, the versions of what was run."""
    versions = {package: version(package) for package in packages}
    print(json.dumps({"chunks": count, "imports": round(imports, 3), "versions": versions}))
