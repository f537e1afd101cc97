"""Progress on stderr, and only on a terminal: rows that are written, bytes of a model that is pulled, parts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from tqdm import tqdm

    from pipeline.api import Progress


def wants_progress() -> bool:
    return sys.stderr.isatty()


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
