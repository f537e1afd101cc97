"""A process beside a run: makes the lexical indexes of what the run commits, until the run closes its end.

In, on stdin: any byte when something was committed; the collection's folder is its argument. Out: the indexes, on disk.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.lexical.index import make_missing
from pipeline.lexical.making import Analyzers
from pipeline.memory import return_freed_memory
from pipeline.store import Layout, Snapshot


def main() -> None:
    return_freed_memory()
    layout = Layout(Path(sys.argv[1]))
    # Kept from one commit to the next: most of the words are the same.
    analyzers = Analyzers()
    snapshot: Snapshot | None = None
    while os.read(sys.stdin.fileno(), 2**16):
        # What cannot be done here is tried again, and complained of, by the run.
        with contextlib.suppress(PipelineError):
            snapshot = Snapshot.open(layout, snapshot)
            make_missing(snapshot, analyzers)


if __name__ == "__main__":
    main()
