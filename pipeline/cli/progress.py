"""Progress on stderr, and only on a terminal: files and chunks while indexing, bytes while a model is pulled."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from pipeline.ingest import IndexProgress

if TYPE_CHECKING:
    from tqdm import tqdm

    from pipeline.api import Progress


def wants_progress() -> bool:
    return sys.stderr.isatty()


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


class RowBar:
    """A bar of rows that are written or indexed."""

    def __init__(self, what: str) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - only for what shows progress

        self._bar = tqdm(desc=what, unit="row", unit_scale=True, disable=not wants_progress())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)


class PullBars:
    """Shows the pulls of missing models: one line when one starts, then its bytes."""

    def __init__(self) -> None:
        self._transfers: dict[str, TransferBars] = {}

    def __call__(self, model: str, progress: Progress) -> None:
        if model not in self._transfers and progress.digest:
            print(f"pulling model {model}, which the server does not have yet", file=sys.stderr)  # noqa: T201
        self._transfers.setdefault(model, TransferBars())(progress)


class TransferBars:
    """Shows a pull, push or create on a terminal: a bar of bytes for each blob, a line for each other step."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None
        self._step = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_bar()

    def __call__(self, progress: Progress) -> None:
        step = progress.digest or progress.status
        if progress.total:
            self.bytes_done(progress.completed or 0, progress.total, step=progress.digest[:19] or progress.status)
        elif wants_progress() and step != self._step:
            self._end_bar()
            print(progress.status, file=sys.stderr)  # noqa: T201
            self._step = step
        if progress.status == "success":
            self._end_bar()

    def bytes_done(self, done: int, total: int, *, step: str) -> None:
        """So many bytes of a step's total have gone through."""
        if not wants_progress():
            return
        if self._bar is None or self._step != step:
            from tqdm import tqdm  # noqa: PLC0415 - only for what shows progress

            self._end_bar()
            self._bar = tqdm(desc=step, unit="B", unit_scale=True, total=total, initial=done)
            self._step = step
        self._bar.update(done - self._bar.n)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class PartsBar:
    """A bar over the parts of a summary; how many there are becomes known on the way."""

    def __init__(self) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - only for what shows progress

        self._bar = tqdm(desc="parts ", unit="part", disable=not wants_progress(), leave=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def done(self, parts: int, known: int) -> None:
        self._bar.total = known
        self._bar.update(parts - self._bar.n)
