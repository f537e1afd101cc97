"""Progress of indexing on stderr, and only on a terminal: files and chunks."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from pipeline.cli.progress import wants_progress
from pipeline.ingest import IndexProgress


class IndexBars(IndexProgress):
    """Two bars with rate and time left. The chunks' total is drawn up from the files looked at so far."""

    def __init__(self) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - only for what shows progress

        disable = not wants_progress()
        self._files = tqdm(desc="files ", unit="file", disable=disable, position=0, leave=True)
        self._chunks = tqdm(desc="chunks", unit="chunk", disable=disable, position=1, leave=True)
        self._planned = 0

    def walked(self, files: int) -> None:
        self._files.reset(total=files)

    def file_done(self) -> None:
        self._files.update()
        self._estimate()

    def chunks_planned(self, count: int) -> None:
        self._planned += count
        self._estimate()

    def chunks_done(self, count: int) -> None:
        self._chunks.update(count)

    def _estimate(self) -> None:
        if self._files.n and self._files.total:
            self._chunks.total = max(self._planned, round(self._planned * self._files.total / self._files.n))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._chunks.total = self._chunks.n
        self._chunks.close()
        self._files.close()
