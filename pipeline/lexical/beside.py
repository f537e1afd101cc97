"""Lexical indexes made beside a run, by a process of its own: Python's lock lets one use one core.

In: word that something was committed. Out: the lexical index of every segment there is, on disk. What is left undone,
for whatever reason, `bring_up_to_date` does.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess

from pipeline.processes import another_helps, start_process
from pipeline.store import Layout

logger = logging.getLogger(__name__)


class LexicalBeside:
    """Use it in a `with` block, whose end waits for the process; an error that leaves the block ends it at once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._process: subprocess.Popen[bytes] | None = None
        self._alone = not another_helps()

    def __enter__(self) -> LexicalBeside:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._process is None:
            return
        if error is not None:
            self._process.kill()
        self._tell()
        with contextlib.suppress(BrokenPipeError), self._process:
            pass

    def committed(self) -> None:
        """Something was committed, and the run goes on. The first time, the process is started."""
        if self._process is None and not self._alone:
            try:
                self._process = start_process("pipeline.lexical.worker", str(self._layout.root), quiet=True)
            except OSError as error:
                logger.info("no process to make the lexical index: %s", error)
                self._alone = True
        self._tell()

    def _tell(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            # It may have ended: then the run makes at its end what is missing.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(b".")
                self._process.stdin.flush()
