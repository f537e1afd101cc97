"""Runs the command line in processes of their own, one after the other, without the time that imports take.

As a program it imports what commands need, then forks for each line on stdin (the arguments, as JSON), prints the
child's number, and its exit status when it has ended. `Commands` is the other end. What a child runs is the command
line as it is, but for the smaller commits and indexes that a small collection needs to have any.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

COMMIT_ROWS = 24
WORTH_AN_INDEX = 100

BATCH, CONCURRENCY = 4, 2

THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
SETTINGS = {"PIPELINE_BATCH_SIZE": str(BATCH), "PIPELINE_CONCURRENCY": str(CONCURRENCY)}
ROOT = Path(__file__).parents[2]


class Commands:
    """`start` a command, `kill` it or let it end; one at a time. Output goes to the file `output`."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.commands", str(output)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **THREADS, **SETTINGS},
        )
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def start(self, *arguments: str | Path) -> int:
        """The number of the process that now runs `pipeline` with these arguments."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([str(argument) for argument in arguments]).encode() + b"\n")
        self._process.stdin.flush()
        return self._read()

    def ended(self) -> bool:
        """Whether the command has ended; `status` then does not wait."""
        assert self._process.stdout
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def status(self) -> int:
        """Waits for the command's end. Negative: the signal that killed it."""
        return self._read()

    def run(self, *arguments: str | Path) -> None:
        """Runs a command to its end, which must be a good one."""
        self.start(*arguments)
        status = self.status()
        assert status == 0, f"{arguments}: {status}\n{self.output.read_text()}"

    def _read(self) -> int:
        assert self._process.stdout
        # By the byte: with a buffer, `ended` would miss what is in it.
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._process.stdout.fileno(), 1)
            assert byte, f"the process that starts commands has ended\n{self.output.read_text()}"
            line += byte
        return int(line)


def serve(output: Path) -> None:
    """The other process: forks for each command."""
    import faiss
    import httpx
    import numpy
    import pyarrow.compute
    import pyarrow.ipc
    import simdjson
    from tqdm import tqdm

    import pipeline.cli.collections
    import pipeline.cli.index
    import pipeline.optimize
    import pipeline.reembed
    from pipeline.cli.main import main
    from pipeline.ingest import pending

    del faiss, httpx, numpy, pyarrow, simdjson, tqdm
    pending.COMMIT_ROWS = COMMIT_ROWS
    pipeline.optimize.WORTH_AN_INDEX = WORTH_AN_INDEX
    pipeline.reembed.COMMIT_ROWS = COMMIT_ROWS
    output.touch()
    print(0, flush=True)
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            run_and_exit(main, json.loads(line), output)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run_and_exit(main: Any, arguments: list[str], output: Path) -> None:
    status: object = 1
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for standard in (1, 2):
            os.dup2(descriptor, standard)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        main(arguments)
    except SystemExit as end:
        status = end.code
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
