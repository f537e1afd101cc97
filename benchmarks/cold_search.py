"""`pipeline search` from the shell over 90,000 chunks: a new process each time, with a server that answers at once.

Run in an environment with nothing but the package's own dependencies, as a user has it: httpx alone takes 45 ms longer
to import where `rich` is installed. Beside it the floor: Python importing the libraries that a search cannot do
without. Rounds are interleaved; medians are printed. The collection is made where it is not there, which takes minutes.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from corpus import times_ten
from indexing import CHUNK_TOKENS, environment
from processes import HERE, Cost, run_process, server

from pipeline.query import MODES

COPIES = 4
"""Of the corpus of 20 MB: 90,000 chunks."""
COLLECTION = "cold"
QUERY = "how to define a model field"
FLOOR = "import numpy, pyarrow, faiss, httpx, click"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/benchmarks"), help="for what is downloaded and made")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    python = str(environment(given.cache.absolute(), "plain", ["-e", str(HERE.parent)]))
    home = given.cache.absolute() / "cold-search"
    with server() as url:
        of_collection = ("-c", COLLECTION, "--home", str(home), "--host", url)
        if not (home / "collections" / COLLECTION).exists():
            files = times_ten(given.cache.absolute(), copies=COPIES)
            settings = ("--model", "stand-in", "--chunk-tokens", str(CHUNK_TOKENS))
            run_process([python, "-m", "pipeline", "index", str(files), *of_collection, *settings])
        commands = {mode: [python, "-m", "pipeline", "search", QUERY, *of_collection, "--mode", mode] for mode in MODES}
        commands["floor"] = [python, "-c", FLOOR]
        costs: dict[str, list[Cost]] = defaultdict(list)
        for number in range(given.rounds + 1):
            for name, command in commands.items():
                _, cost = run_process(command)
                if number:
                    costs[name].append(cost)
    for name, measured in costs.items():
        wall, cpu = (statistics.median(getattr(cost, each) for cost in measured) for each in ("wall", "cpu"))
        print(f"{name}: {wall:.3f} s, {cpu:.3f} CPU s, least {min(cost.wall for cost in measured):.3f} s")


if __name__ == "__main__":
    main()
