"""Progress on stderr, and only on a terminal: files and chunks while indexing, bytes while a model is pulled."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from tqdm import tqdm

from pipeline.ingest import IndexProgress

if TYPE_CHECKING:
    from pipeline.api import Progress


def wants_progress() -> bool:
    return sys.stderr.isatty()


class IndexBars(IndexProgress):
    """Two bars with rate and time left. The chunks' total is drawn up from the files looked at so far."""

    def __init__(self) -> None:
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


class PullBars:
    """Shows the pulls of missing models, each with a bar of its own."""

    def __init__(self) -> None:
        self._bars: dict[str, PullBar] = {}

    def __call__(self, model: str, progress: Progress) -> None:
        self._bars.setdefault(model, PullBar(model))(progress)


class PullBar:
    """Shows a pull: one line when it starts, a bar of bytes on a terminal."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._bar: tqdm[NoReturn] | None = None
        self._started = False

    def __call__(self, progress: Progress) -> None:
        if progress.digest and not self._started:
            self._started = True
            print(f"pulling model {self._model}, which the server does not have yet", file=sys.stderr)  # noqa: T201
        if progress.total and wants_progress():
            if self._bar is None:
                self._bar = tqdm(desc=self._model, unit="B", unit_scale=True, total=progress.total)
            self._bar.total = progress.total
            self._bar.update((progress.completed or 0) - self._bar.n)
        if progress.status == "success" and self._bar is not None:
            self._bar.close()
