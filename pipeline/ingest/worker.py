"""A cutting process: reads and cuts the files that a run names, until the run closes its end.

In, on stdin: the settings and the tokenizer, then a path and a known hash a frame. Out, on stdout: a result a frame,
in the same order; `null` for a file that the run has to look at itself, as it fails in a way that only it can report.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import BinaryIO

from pipeline.chunk import ChunkSettings, Tokenizer, token_counter
from pipeline.ingest.cut import cut_file, to_json
from pipeline.read.frames import read_frame, write_frame


def main() -> None:
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a parser may print must not get between the frames.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, results)
    # Not closed by the interpreter's end, which would complain of a run that no longer reads.
    os._exit(0)


def serve(tasks: BinaryIO, results: BinaryIO) -> None:
    """Answers until the stream of tasks ends."""
    frame = read_frame(tasks)
    if frame is None:
        return
    first, _ = frame
    tokenizer = Tokenizer(**first["tokenizer"]) if first["tokenizer"] else None
    settings, counter = ChunkSettings(**first["settings"]), token_counter(tokenizer)
    while (frame := read_frame(tasks)) is not None:
        path, known_hash = frame[0]
        try:
            answer = to_json(cut_file(Path(path), known_hash, lambda: (settings, counter)))
        except Exception:  # noqa: BLE001 - the run cuts the file itself, and gets the same error where it can be raised
            answer = None
        write_frame(results, answer)


if __name__ == "__main__":
    main()
