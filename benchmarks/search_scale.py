"""Dense search at scale: opening, one query, filters, a hundred at once, memory, building, recall, beside plain FAISS.

Makes collections of clustered unit vectors (their numbers shrink from dimension to dimension, as those of text models
do) in a temporary folder, as segments of at most 262,144 rows with an index each, and measures each collection in a
process of its own: every case once a round, round after round. Figures are the median of the rounds, and the least.
With --peers, chromadb and lancedb are installed in environments of their own and asked the same at the smallest size.
Prints one table, or JSON with --json. A million takes some minutes, 7 GB of disk and of memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.embed import ModelIdentity
from pipeline.index import IndexFacts, build_index, search_dense
from pipeline.index.faiss_library import load_faiss
from pipeline.store import CollectionWriter, DocumentRow, Layout, SegmentBuilder, Snapshot
from pipeline.types import Chunk

DIMENSION = 768
SEGMENT_ROWS = 262_144
CLUSTERS = 2000
QUERIES = 100
ROUNDS = 5
SHARES = (0.01, 0.1, 0.5)
PEERS = ("chromadb", "lancedb")
INDEX_FILES = "index-files.json"

Matrix = NDArray[np.float32]

PEER_SCRIPTS = {
    "chromadb": """
import chromadb
client = chromadb.PersistentClient(folder)
made = client.create_collection("vectors", metadata={"hnsw:space": "cosine"}, embedding_function=None)
started = time.perf_counter()
for at in range(0, len(rows), 5000):
    made.add(ids=[str(i) for i in range(at, min(at + 5000, len(rows)))], embeddings=rows[at:at + 5000])
built = time.perf_counter() - started
one = lambda query: [int(i) for i in made.query(query_embeddings=[query], n_results=10)["ids"][0]]
many = lambda queries: made.query(query_embeddings=list(queries), n_results=10)
""",
    "lancedb": """
import lancedb, pyarrow
base = lancedb.connect(folder)
column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.ravel()), rows.shape[1])
started = time.perf_counter()
table = base.create_table("t", pyarrow.table({"row": pyarrow.array(range(len(rows))), "vector": column}))
built = time.perf_counter() - started
one = lambda query: [row["row"] for row in table.search(query).distance_type("cosine").limit(10).to_list()]
many = lambda queries: [one(query) for query in queries]
""",
}
PEER_FRAME = """
import json, sys, time
import numpy as np
folder, data = sys.argv[1:]
with np.load(data) as arrays:
    rows, queries, truth = arrays["rows"], arrays["queries"], arrays["truth"]
{script}
found = [one(query) for query in queries]
times, batches = [], []
for _ in range({rounds}):
    for query in queries[:20]:
        started = time.perf_counter()
        one(query)
        times.append((time.perf_counter() - started) * 1e3)
    started = time.perf_counter()
    many(queries)
    batches.append((time.perf_counter() - started) * 1e3 / len(queries))
recall = float(np.mean([np.isin(best, seen).mean() for best, seen in zip(truth, found)]))
median = lambda values: sorted(values)[len(values) // 2]
print(json.dumps({{"build_s": built, "one_ms": [median(times), min(times)], "batch_ms": [median(batches), min(batches)],
                   "recall": recall}}))
"""


def clustered(count: int, seed: int) -> Matrix:
    """Unit rows around 2,000 centres, with a mean in common."""
    random = np.random.default_rng(7)
    scale = (1 + np.arange(DIMENSION, dtype=np.float32)) ** -0.5
    scale /= np.linalg.norm(scale)
    turn = np.linalg.qr(random.standard_normal((DIMENSION, DIMENSION), dtype=np.float32))[0]
    centres = random.standard_normal((CLUSTERS, DIMENSION), dtype=np.float32) * scale
    random = np.random.default_rng(seed)
    rows = np.empty((count, DIMENSION), np.float32)
    for start in range(0, count, 16_384):
        part = rows[start : start + 16_384]
        noise = random.standard_normal(part.shape, dtype=np.float32)
        part[:] = (centres[random.integers(0, CLUSTERS, len(part))] + 0.8 * noise * scale) @ turn + 0.9 * turn[0]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def private_mb() -> float:
    """Memory of this process that no file stands behind, in MB."""
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return int(rollup.split("Anonymous:")[1].split()[0]) * 1024 / 1e6


def make(home: Path, rows: int) -> None:
    """A collection of so many rows, as segments with one document each, in `home`."""
    identity = ModelIdentity(
        name="synthetic", digest="", dimension=DIMENSION, context=512, query_prefix="", document_prefix=""
    )
    with CollectionWriter(Layout.of(home, "scale")) as writer:
        writer.create(identity, {})
        for number, start in enumerate(range(0, rows, SEGMENT_ROWS)):
            count = min(SEGMENT_ROWS, rows - start)
            chunks = [
                Chunk(
                    chunk_id=f"{number}-{row}",
                    document_id=str(number),
                    start=row,
                    end=row + 1,
                    text="x",
                    heading_path=(),
                    start_line=1,
                    end_line=1,
                    embedded_text="x",
                    content_hash=(start + row).to_bytes(16, "little"),
                )
                for row in range(count)
            ]
            document = DocumentRow(
                document_id=str(number),
                path=f"/{number}",
                title="",
                format="text",
                size=count,
                mtime_ns=1,
                content_hash="0" * 64,
            )
            builder = SegmentBuilder(DIMENSION)
            builder.add(document, chunks, list(clustered(count, number + 1)))
            writer.commit(builder)


def build(home: Path) -> dict[str, Any]:
    """Builds the index of every segment; the time of all together, and how much private memory that took at most."""
    snapshot = Snapshot.open(Layout.of(home, "scale"))
    load_faiss()
    for segment in snapshot.segments:
        assert len(segment.passing_vectors)
    before, peak, done = private_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], private_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    files: dict[str, Any] = {}
    seconds = cpu = 0.0
    for segment in snapshot.segments:
        path = home / f"{segment.id}.faiss"
        started, worked = time.perf_counter(), time.process_time()
        facts = build_index(segment.passing_vectors, path)
        seconds, cpu = seconds + time.perf_counter() - started, cpu + time.process_time() - worked
        files[segment.id] = (str(path), {name: getattr(facts, name) for name in IndexFacts.__slots__})
    done.set()
    watcher.join()
    (home / INDEX_FILES).write_text(json.dumps(files), encoding="utf-8")
    return {
        "build_s": seconds,
        "build_cpu_s": cpu,
        "build_private_mb": peak[0] - before,
        "index_mb": sum(Path(path).stat().st_size for path, _ in files.values()) / 1e6,
        "candidates": max(facts["candidates"] for _, facts in files.values()),
    }


def measure(home: Path) -> dict[str, Any]:
    """Every case, round after round."""
    faiss = load_faiss()
    named: dict[str, Any] = json.loads((home / INDEX_FILES).read_text(encoding="utf-8"))
    files = {segment: (Path(path), IndexFacts(**facts)) for segment, (path, facts) in named.items()}
    queries = clustered(QUERIES, 99)
    layout = Layout.of(home, "scale")
    snapshot = Snapshot.open(layout)
    search_dense(snapshot, queries[:1], 10, index_files=files)
    private = private_mb()

    random = np.random.default_rng(3)
    masks = {share: [random.random(segment.record.rows) < share for segment in snapshot.segments] for share in SHARES}

    def reopen(_: Matrix) -> None:
        search_dense(Snapshot.open(layout), queries[:1], 10, index_files=files)

    def knn(query: Matrix) -> None:
        faiss.omp_set_num_threads(1)
        for segment in snapshot.segments:
            faiss.knn(query, segment.vectors, 10, metric=faiss.METRIC_INNER_PRODUCT)
        faiss.omp_set_num_threads(os.cpu_count() or 1)

    def search(query: Matrix) -> None:
        search_dense(snapshot, query, 10, index_files=files)

    def scan(query: Matrix) -> None:
        search_dense(snapshot, query, 10)

    def filtered(share: float) -> Callable[[Matrix], None]:
        def run(query: Matrix) -> None:
            search_dense(snapshot, query, 10, allowed=masks[share], index_files=files)

        return run

    # Name, what to do, how often a round, queries at a time.
    cases: list[tuple[str, Callable[[Matrix], None], int, int]] = [
        ("open", reopen, 1, 1),
        ("one", search, 20, 1),
        *((f"one_{share:.0%}", filtered(share), 20, 1) for share in SHARES),
        ("batch", search, 1, QUERIES),
        *((f"batch_{share:.0%}", filtered(share), 1, QUERIES) for share in SHARES),
        ("exact_one", scan, 3, 1),
        ("exact_batch", scan, 1, QUERIES),
        ("knn_one", knn, 3, 1),
    ]
    walls: dict[str, list[float]] = {name: [] for name, *_ in cases}
    cpus: dict[str, list[float]] = {name: [] for name, *_ in cases}
    for _ in range(ROUNDS):
        for name, run, often, size in cases:
            for at in range(often):
                part = queries[at * size : (at + 1) * size]
                started, worked = time.perf_counter(), time.process_time()
                run(part)
                walls[name].append((time.perf_counter() - started) * 1e3 / size)
                cpus[name].append((time.process_time() - worked) * 1e3 / size)
    result: dict[str, Any] = {
        f"{name}_ms": [statistics.median(walls[name]), min(walls[name]), statistics.median(cpus[name])]
        for name in walls
    }
    result["private_mb"] = private
    result["recall"] = recall(snapshot, queries, files, None)
    for share in SHARES:
        result[f"recall_{share:.0%}"] = recall(snapshot, queries, files, masks[share])
    result["segments"] = len(snapshot.segments)
    result["load"] = os.getloadavg()[0]
    return result


def recall(snapshot: Snapshot, queries: Matrix, files: Any, masks: Any) -> float:
    """The share of the true ten best that are found."""
    truth = search_dense(snapshot, queries, 10, allowed=masks)
    found = search_dense(snapshot, queries, 10, allowed=masks, index_files=files)
    return statistics.mean(len(set(a) & set(b)) / len(a) for a, b in zip(truth, found, strict=True))


def peer(name: str, work: Path, rows: int, environments: Path | None) -> dict[str, Any]:
    """What a peer takes for the same rows and queries, in an environment of its own."""
    matrix, queries = clustered(rows, 1), clustered(QUERIES, 99)
    truth = np.argsort(-(queries @ matrix.T), axis=1)[:, :10]
    np.savez(work / "peer.npz", rows=matrix, queries=queries, truth=truth)
    environment = (environments or work) / name
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", name], check=True)
    script = PEER_FRAME.format(script=PEER_SCRIPTS[name], rounds=ROUNDS)
    folder = work / f"{name}-data"
    done = subprocess.run(
        [str(python), "-c", script, str(folder), str(work / "peer.npz")], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed: {done.stderr}")
    version = f"import importlib.metadata; print(importlib.metadata.version({name!r}))"
    shown = subprocess.run([str(python), "-c", version], capture_output=True, text=True, check=True)
    return {"version": shown.stdout.strip(), **json.loads(done.stdout.splitlines()[-1])}


def child(step: str, home: Path, rows: int) -> dict[str, Any]:
    program = [sys.executable, __file__, "--step", step, "--home", str(home), "--sizes", str(rows)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{step} failed: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def print_table(results: dict[str, dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for figures in results.values() for name in figures))
    print(f"{'':<18}" + "".join(f"{title:>26}" for title in results))
    for name in names:
        cells = (figures.get(name, "") for figures in results.values())
        print(f"{name:<18}" + "".join(f"{shown(cell):>26}" for cell in cells))
    print("ms: median (least) [CPU]")


def shown(cell: Any) -> str:
    if isinstance(cell, list):
        rest = f" [{cell[2]:.2f}]" if len(cell) > 2 else ""
        return f"{cell[0]:.2f} ({cell[1]:.2f}){rest}"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 200_000, 1_000_000])
    parser.add_argument("--peers", action="store_true", help="chromadb and lancedb too, at the smallest size")
    parser.add_argument("--environments", type=Path, help="where the peers' environments are, or are made")
    parser.add_argument("--temporary", type=Path, help="where the collections are made and removed again")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=["make", "build", "measure"], help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step = {"build": build, "measure": measure}.get(options.step)
        print(json.dumps(step(options.home) if step else make(options.home, options.sizes[0]) or {}))
        return
    results: dict[str, dict[str, Any]] = {}
    for rows in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.temporary) as folder:
            child("make", Path(folder), rows)
            results[f"{rows:,}"] = child("build", Path(folder), rows) | child("measure", Path(folder), rows)
    if options.peers:
        with tempfile.TemporaryDirectory(dir=options.temporary) as folder:
            for name in PEERS:
                figures = peer(name, Path(folder), min(options.sizes), options.environments)
                results[f"{name} {min(options.sizes):,}"] = figures
    if options.json:
        print(json.dumps(results))
    else:
        print_table(results)


if __name__ == "__main__":
    main()
