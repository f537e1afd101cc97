"""Indexing 20 MB of text, side by side: ours, a loop by hand, and the peers, each as a process in its own environment.

All read the same files, ask the same stand-in server and leave a searchable index on disk. Rounds are interleaved, so
that a busy moment of the machine meets all; the peers that take a minute run once. Two servers: one that takes no time,
which shows what a client costs, and one of 5 ms and 0.2 ms a text, four requests at a time, which shows whether the
client keeps it busy. Prints a table, or JSON with `--json`; `--plot FILE` draws the CPU times as SVG.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from corpus import MEGABYTES, corpus, times_ten
from plot import bars
from processes import HERE, Cost, ProgramFailed, ask, run_process, server

PEERS = HERE / "peers"
BATCH = 64
CHUNK_TOKENS = 512
"""For ours, so that chunks are as large as the floor's thousand characters, by an estimate of three bytes a token."""
ROUNDS = 5
LATENCY = ("--latency",)


@dataclass(frozen=True, slots=True)
class Program:
    """A command that indexes; `{corpus}`, `{url}` and `{target}` in it are replaced. `fast` ones run every round."""

    title: str
    command: tuple[str, ...]
    fast: bool = False
    versions: str = ""


@dataclass(slots=True)
class Measured:
    """What the runs of one program came to."""

    costs: list[Cost] = field(default_factory=list[Cost])
    chunks: int = 0
    disk: float = 0.0
    stats: dict[str, Any] = field(default_factory=dict[str, Any])
    versions: str = ""
    failed: str = ""

    def summary(self) -> dict[str, Any]:
        if not self.costs:
            return {"failed": self.failed}
        figures = {
            "wall": statistics.median(cost.wall for cost in self.costs),
            "cpu": statistics.median(cost.cpu for cost in self.costs),
            "peak_mb": statistics.median(cost.peak_mb for cost in self.costs),
            "disk_mb": self.disk,
        }
        names = ("requests", "largest", "most_in_flight", "connections")
        return {
            **{name: round(value, 2) for name, value in figures.items()},
            **{name: self.stats[name] for name in names},
            "chunks": self.chunks,
            "kept_busy": round(self.stats["busy"] / 4 / self.stats["span"], 3) if self.stats["busy"] else None,
            "runs": len(self.costs),
            "versions": self.versions,
        }


def programs(cache: Path, names: Sequence[str]) -> list[Program]:
    """Ours, the floor and the peers asked for, whose environments are made where they are not there."""
    ours = (sys.executable, "-m", "pipeline", "index", "{corpus}", "-c", "bench", "--home", "{target}", "--json")
    settings = (
        "--host",
        "{url}",
        "--model",
        "stand-in",
        "--batch-size",
        str(BATCH),
        "--chunk-tokens",
        str(CHUNK_TOKENS),
    )
    arguments = ("{corpus}", "{url}", "{target}", str(BATCH))
    found = [
        Program("pipeline", (*ours, *settings), fast=True),
        Program("by hand: threads, simdjson, Arrow", (sys.executable, str(PEERS / "hand.py"), *arguments), fast=True),
    ]
    known = tomllib.loads((PEERS / "packages.toml").read_text())
    for name, peer in known.items():
        if name not in names and not (not names and not peer.get("heavy")):
            continue
        command = (str(environment(cache, name, peer["packages"])), str(PEERS / f"{name}.py"), *arguments)
        if name == "langchain_faiss":
            found.append(Program(f"{peer['title']}, slices of {BATCH}", command, fast=True))
            found.append(Program(f"{peer['title']}, all at once", (*command, "--default")))
        else:
            found.append(Program(peer["title"], command))
    return found


def environment(cache: Path, name: str, packages: Sequence[str]) -> Path:
    """The interpreter of a peer's own environment below the cache."""
    folder = cache / "environments" / name
    done = folder / ".complete"
    if not done.exists():
        print(f"installing {', '.join(packages)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *packages], check=True)
        done.touch()
    return folder / "bin" / "python"


def run_once(program: Program, files: Path, url: str, target: Path, into: Measured) -> None:
    shutil.rmtree(target, ignore_errors=True)
    ask(url, "/reset")
    command = [part.format(corpus=files, url=url, target=target) for part in program.command]
    try:
        output, cost = run_process(command)
    except ProgramFailed as error:
        into.failed = str(error)
        print(error, file=sys.stderr)
        return
    reply = json.loads(output.strip().splitlines()[-1])
    into.costs.append(cost)
    into.stats = json.loads(ask(url, "/stats"))
    chunks = reply["chunks"]
    into.chunks = chunks["total"] if isinstance(chunks, dict) else chunks
    into.versions = ", ".join(f"{package} {number}" for package, number in reply.get("versions", {}).items())
    into.disk = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
    print(f"{program.title}: {cost.wall:.2f} s, {cost.cpu:.2f} CPU s, {cost.peak_mb:.0f} MB", file=sys.stderr)
    shutil.rmtree(target, ignore_errors=True)


def measure(
    listed: Sequence[Program], files: Path, cache: Path, *, rounds: int, arguments: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Every program with one server: the fast ones in every round, the others in the first."""
    measured: defaultdict[str, Measured] = defaultdict(Measured)
    with server(*arguments) as url:
        for turn in range(rounds):
            for program in listed:
                if program.fast or not turn:
                    run_once(program, files, url, cache / "target", measured[program.title])
    return {program.title: measured[program.title].summary() for program in listed}


def table(title: str, rows: dict[str, dict[str, Any]]) -> str:
    """A Markdown table; ratios are of wall and CPU times to ours, which come first."""
    ours = next(iter(rows.values()))
    if "failed" in ours:
        return f"### {title}\n\nours failed: {ours['failed']}"
    lines = [
        f"### {title}",
        "",
        "| program | chunks | wall s | x ours | CPU s | x ours | peak MB | disk MB | requests | in flight | busy |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        if "failed" in row:
            lines.append(f"| {name} | failed |")
            continue
        busy = f"{100 * row['kept_busy']:.1f} %" if row["kept_busy"] else ""
        lines.append(
            f"| {name} | {row['chunks']} | {row['wall']:.2f} | {row['wall'] / ours['wall']:.2f} | "
            f"{row['cpu']:.2f} | {row['cpu'] / ours['cpu']:.2f} | "
            f"{row['peak_mb']:.0f} | {row['disk_mb']:.0f} | {row['requests']} | {row['most_in_flight']} | {busy} |"
        )
    return "\n".join(lines)


def vocabulary_file(cache: Path, model: Path) -> Path:
    """The WordPiece tokens of a GGUF file as the JSON that the stand-in server hands out."""
    from gguf import GGUFReader

    field_ = GGUFReader(str(model)).fields["tokenizer.ggml.tokens"]
    tokens = [bytes(field_.parts[index]).decode() for index in field_.data]
    target = cache / "vocabulary.json"
    target.write_text(json.dumps(tokens))
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/benchmarks"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--peers", nargs="*", default=[], help="only these; 'none' for none")
    parser.add_argument("--ten", action="store_true", help="also ours over ten times the text")
    parser.add_argument("--vocabulary", type=Path, help="a GGUF file: also ours and the floor, counting its tokens")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cache: Path = options.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    files = corpus(cache)
    listed = programs(cache, options.peers)
    fast = [program for program in listed if program.fast]
    results = {
        "a server that takes no time": measure(listed, files, cache, rounds=options.rounds, arguments=()),
        "a server of 5 ms + 0.2 ms a text, four at once": measure(
            fast, files, cache, rounds=options.rounds, arguments=LATENCY
        ),
    }
    if options.vocabulary:
        arguments = ("--vocabulary", str(vocabulary_file(cache, options.vocabulary)))
        results["a server that gives its vocabulary"] = measure(
            fast[:2], files, cache, rounds=options.rounds, arguments=arguments
        )
    if options.ten:
        results["ten times the text"] = measure(fast[:2], times_ten(cache), cache, rounds=1, arguments=())
    if options.plot:
        used = {name: row["cpu"] for name, row in next(iter(results.values())).items() if "cpu" in row}
        options.plot.write_text(bars(f"Indexing {MEGABYTES} MB of text, CPU seconds of the client (log scale)", used))
    if options.json:
        print(json.dumps(results))
        return
    print(f"{MEGABYTES} MB, batches of {BATCH}, {os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
    print("\n\n".join(table(title, rows) for title, rows in results.items()))
    print()
    for name, row in next(iter(results.values())).items():
        if row.get("versions"):
            print(f"- {name}: {row['versions']}")


if __name__ == "__main__":
    main()
