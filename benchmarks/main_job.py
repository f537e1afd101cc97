"""The main job, measured: quality on the golden questions, memory while indexing, the cost of a second run.

Indexes `sample_corpus/` and ten copies of it (each copy's text made different, so that nothing is reused) with the
embedded server, each in a process of its own. Prints one line a figure, or JSON with --json. Models are pulled into
the home given with --home, or into a fresh one.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "sample_corpus"
COPIES = 10
PEAK = (
    "import resource, subprocess, sys; status = subprocess.run(sys.argv[1:]).returncode; "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(status)"
)


def run(home: Path, *arguments: str) -> tuple[Any, float, int]:
    """A command's JSON, its wall time in seconds, its peak resident memory in MiB."""
    program = [sys.executable, "-m", "pipeline", *arguments, "--json", "--home", str(home)]
    environment = {key: value for key, value in os.environ.items() if key != "OLLAMA_HOST"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *program], capture_output=True, text=True, check=True, env=environment
    )
    seconds = time.perf_counter() - started
    return json.loads(done.stdout), seconds, int(done.stderr.splitlines()[-1]) // 1024


def ten_copies(target: Path) -> None:
    for copy in range(COPIES):
        shutil.copytree(SAMPLE, target / str(copy))
        for path in (target / str(copy)).rglob("*"):
            if path.suffix in {".md", ".txt", ".rst", ".html"}:
                text = path.read_text(encoding="utf-8")
                path.write_text(text.replace(" the ", f" the c{copy} "), encoding="utf-8")


def measure(home: Path, work: Path) -> dict[str, Any]:
    first, first_seconds, first_peak = run(home, "index", str(SAMPLE), "-c", "bench-sample")
    again, again_seconds, again_peak = run(home, "index", str(SAMPLE), "-c", "bench-sample")
    golden, _, _ = run(home, "eval", str(SAMPLE / "golden.jsonl"), "-c", "bench-sample")
    ten_copies(work)
    ten, ten_seconds, ten_peak = run(home, "index", str(work), "-c", "bench-ten")
    starts = [start_up() for _ in range(9)]
    return {
        "sample": {"documents": first["documents"], "chunks": first["chunks"]},
        "index_seconds": round(first_seconds, 2),
        "index_peak_mib": first_peak,
        "second_run_embedded": again["chunks"]["embedded"],
        "second_run_seconds": round(again_seconds, 2),
        "second_run_peak_mib": again_peak,
        "ten_copies_chunks": ten["chunks"]["embedded"],
        "ten_copies_seconds": round(ten_seconds, 2),
        "ten_copies_peak_mib": ten_peak,
        "golden": golden["runs"][0],
        "help_seconds_median": round(statistics.median(starts), 3),
    }


def start_up() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pipeline", "--help"], capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        figures = measure(options.home or work / "home", work / "copies")
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<22} {value}")


if __name__ == "__main__":
    main()
