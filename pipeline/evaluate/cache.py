"""Collections of test documents, kept below the home so that a second evaluation embeds nothing again.

In: a test collection or a folder of documents, settings. Out: a `Collection` that has them indexed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.collection import Collection
from pipeline.config import DEFAULT_MODEL, Config
from pipeline.connect import Connection
from pipeline.errors import PipelineError
from pipeline.evaluate.beir import TestCollection
from pipeline.ingest import IndexProgress
from pipeline.store.files import make_folder, write_atomic, writing
from pipeline.types import Hit

FOLDER = "evaluation"
FILES_IN_A_FOLDER = 1000
DONE = "complete"


class DocumentFiles:
    """The documents of a test collection as files, numbered in their order, which any reader and index takes."""

    def __init__(self, home: Path, collection: TestCollection) -> None:
        self.home = home / FOLDER / f"{_plain(collection.name)}-{collection.fingerprint[:12]}"
        self.folder = self.home / "documents"
        self._ids: list[str] = []
        written = (self.home / DONE).is_file()
        for number, (name, text) in enumerate(collection.documents()):
            self._ids.append(name)
            if not written:
                path = self.folder / f"{number // FILES_IN_A_FOLDER:04}" / f"{number}.txt"
                make_folder(path.parent)
                with writing(path):
                    path.write_text(text, encoding="utf-8", newline="\n", errors="replace")
        if not written:
            write_atomic(self.home / DONE, b"")

    def name_of(self, hit: Hit) -> str:
        """The id of the document that a hit is from."""
        return self._ids[int(Path(hit.path).stem)]


@contextmanager
def cached_collection(
    home: Path,
    documents: Path,
    config: Config,
    *,
    chunker: str,
    connector: Callable[[Config], Connection],
    progress: IndexProgress | None = None,
) -> Generator[Collection]:
    """`documents` indexed by `config`'s model and `chunker` in a collection below `home`, brought up to date.

    Raises PipelineError where documents could not be indexed: an evaluation without them would mislead.
    """
    model = config.model or DEFAULT_MODEL
    key = hashlib.sha256(f"{model}\0{chunker}\0{documents}".encode()).hexdigest()[:8]
    name = f"{_plain(Path(model).name)}-{_plain(chunker)}-{key}"
    kept = replace(config, home=home, models=config.models_folder, model=model)
    with Collection(name, kept, connector=connector) as collection:
        report = collection.index(documents, chunker=chunker, progress=progress)
        if failures := report.failures:
            raise PipelineError(
                f"{len(failures)} documents could not be indexed, the first: {failures[0].path}: {failures[0].error}",
                hint="see what is wrong with them; figures without them would mislead",
            )
        yield collection


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:24] or "unnamed"
