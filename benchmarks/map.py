"""The map of a collection: ways to project it compared, the time that making it takes, frames a second in a browser.

Makes a collection of real passages (of benchmarks/corpus.py, or of --texts FOLDER) with vectors by latent semantic
analysis of their words, which need no model, or takes one that is there (--collection NAME --home HOME). Then:

methods  our projection, the main axes, and the same vectors through other libraries, each in an environment of its own:
         CPU seconds, wall seconds, peak memory, import, installed size; the share of the ten nearest neighbours that
         are kept (Kobak and Berens 2019) and trustworthiness (Venna and Kaski, ICANN 2001), both for ten neighbours
         and a thousand sampled points.
make     `make_map` as a whole and again from the cache, and with 1 % new passages.
frames   the page in headless Chromium (playwright is needed, and `chromium` on the path): frames a second while the
         map is moved and zoomed all the time, the processor time of all of its processes and what drawing one costs the
         page's thread.

Prints tables, or JSON with --json.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
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

import numpy as np
from corpus import corpus
from numpy.typing import NDArray

from pipeline.chunk import ChunkSettings, EstimateCounter
from pipeline.embed import ModelIdentity
from pipeline.ingest.cut import Cut, cut_file
from pipeline.map import MapSettings, make_map, write_page
from pipeline.map.neighbours import share_kept
from pipeline.map.project import main_axes, project
from pipeline.map.sample import Sample
from pipeline.store import CollectionWriter, DocumentRow, Layout, SegmentBuilder, require_collection

DIMENSION = 256
NEIGHBOURS = 10
JUDGED = 1000
TOKENS = 96
STEPS = ("methods", "make", "frames")
SECONDS = 5.0

PEER_FRAME = """
import json, resource, sys, time
started = time.perf_counter()
{load}
loaded = time.perf_counter() - started
import numpy as np
vectors = np.load(sys.argv[1])
cpu, wall = time.process_time(), time.perf_counter()
places = {fit}
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
np.save(sys.argv[2], np.asarray(places, np.float32))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(cpu=cpu, wall=wall, peak_mb=peak, loaded=loaded)))
"""
PEERS = {
    "openTSNE as it comes": ("openTSNE", "import openTSNE", "openTSNE.TSNE(n_jobs=2, random_state=0).fit(vectors)"),
    "umap-learn": ("umap-learn", "import umap", "umap.UMAP(metric='cosine').fit_transform(vectors)"),
    "pacmap": ("pacmap", "import pacmap", "pacmap.PaCMAP(random_state=0).fit_transform(vectors)"),
    "localmap": ("pacmap", "import pacmap", "pacmap.LocalMAP(random_state=0).fit_transform(vectors)"),
    "scikit-learn t-SNE": (
        "scikit-learn",
        "from sklearn.manifold import TSNE",
        "TSNE(n_jobs=2, random_state=0).fit_transform(vectors)",
    ),
}
SLOWEST = {"scikit-learn t-SNE": 10_000}
"""Peers that are left out where there are more rows."""

FRAMES = """async (seconds) => {
  const view = window.mapView, stamps = [], costs = [];
  const started = performance.now(), least = view.scale, paint = view.paint.bind(view);
  view.paint = () => {
    const before = performance.now();
    paint();
    costs.push(performance.now() - before);
  };
  await new Promise((done) => {
    const frame = (now) => {
      stamps.push(now);
      const phase = (performance.now() - started) / 1000;
      view.pan(6 * Math.cos(2 * phase), 6 * Math.sin(3 * phase));
      view.zoom((least * (2.2 + 1.8 * Math.sin(phase))) / view.scale, ...view.middle);
      if (performance.now() - started < seconds * 1000) requestAnimationFrame(frame);
      else done();
    };
    requestAnimationFrame(frame);
  });
  return { stamps, costs, fast: Boolean(view.painter.gl), points: view.count };
}"""


def texts_in(folder: Path, passages: int, tokens: int = TOKENS) -> list[Cut]:
    """Documents in a fixed order until they have as many chunks as asked for."""
    settings, counter = ChunkSettings(max_tokens=tokens), EstimateCounter()
    files = [path for path in folder.rglob("*") if path.suffix in {".rst", ".md", ".txt", ".html"} and path.is_file()]
    files.sort(key=lambda path: hashlib.sha256(str(path.relative_to(folder)).encode()).digest())
    found: list[Cut] = []
    left, seen = passages, set[bytes]()
    for path in files:
        cut = cut_file(path.resolve(), None, lambda: (settings, counter))
        if not isinstance(cut, Cut) or not cut.chunks or cut.chunks[0].content_hash in seen:
            continue
        seen.add(cut.chunks[0].content_hash)
        found.append(cut)
        left -= len(cut.chunks)
        if left <= 0:
            break
    return found


def latent(texts: list[str], dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Unit vectors by latent semantic analysis (Deerwester and others, JASIS 1990), which stand for a model's."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, min_df=3, max_df=0.2, max_features=40_000, dtype=np.float32)
    matrix = words.fit_transform(texts)
    rows = TruncatedSVD(dimension, n_iter=2, random_state=0).fit_transform(matrix).astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows[norms[:, 0] < 1e-6, 0] = 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


LATENT = ModelIdentity(name="latent", digest="0", dimension=DIMENSION, context=512, query_prefix="", document_prefix="")


def make_collection(layout: Layout, documents: list[Cut], model: ModelIdentity = LATENT) -> None:
    """The documents as a collection of one segment, which says that its vectors are of `model`."""
    vectors = latent([chunk.embedded_text for each in documents for chunk in each.chunks], model.dimension)
    builder, at = SegmentBuilder(model.dimension), 0
    for each in documents:
        row = DocumentRow(
            document_id=each.document.document_id,
            path=each.document.path,
            title=each.document.title,
            format=each.document.format,
            size=0,
            mtime_ns=1,
            content_hash=each.document.content_hash,
        )
        builder.add(row, each.chunks, list(vectors[at : at + len(each.chunks)]))
        at += len(each.chunks)
    with CollectionWriter(layout) as writer:
        writer.create(model, {})
        writer.commit(builder)


def trustworthiness(vectors: NDArray[np.float32], places: NDArray[np.float32]) -> float:
    """One less what points that are neighbours on the map only cost by their true ranks, over sampled points."""
    count = len(vectors)
    chosen = np.random.default_rng(0).choice(count, min(JUDGED, count), replace=False)
    costs = 0
    for row in chosen.tolist():
        away = ((places - places[row]) ** 2).sum(axis=1)
        away[row] = np.inf
        near = np.argpartition(away, NEIGHBOURS)[:NEIGHBOURS]
        cosines = vectors @ vectors[row]
        cosines[row] = np.inf
        ranks = (cosines[None, :] > cosines[near][:, None]).sum(axis=1)
        costs += int(np.maximum(ranks - NEIGHBOURS, 0).sum())
    return 1 - 2 * costs / (len(chosen) * NEIGHBOURS * (2 * count - 3 * NEIGHBOURS - 1))


def methods(home: Path, name: str, sizes: list[int], environments: Path, peers: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    snapshot = require_collection(home, name)
    for size in sizes:
        sample = Sample.of(snapshot, size, 0)
        _, first = np.unique(sample.keys, return_index=True)
        vectors = sample.vectors(first)
        for method in ("ours", "main axes"):
            cpu, wall = time.process_time(), time.perf_counter()
            if method == "ours":
                places = project(vectors, seed=0, start=None, report=lambda *_: None)[0]
            else:
                places = main_axes(vectors)
            figures = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
            found[f"{method}, {len(vectors)}"] = figures | judged(vectors, places)
        if not peers:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows, out = Path(folder) / "rows.npy", Path(folder) / "places.npy"
            np.save(rows, vectors)
            for title, (package, load, fit) in PEERS.items():
                if len(vectors) > SLOWEST.get(title, len(vectors)):
                    continue
                python = environment(environments, package)
                script = PEER_FRAME.format(load=load, fit=fit)
                done = subprocess.run([python, "-c", script, rows, out], capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{title}: {done.stderr.splitlines()[-1]}", file=sys.stderr)
                    continue
                figures = json.loads(done.stdout.splitlines()[-1])
                found[f"{title}, {len(vectors)}"] = figures | judged(vectors, np.load(out))
    return found


def judged(vectors: NDArray[np.float32], places: NDArray[np.float32]) -> dict[str, Any]:
    return {"kept": share_kept(vectors, places, seed=0), "trust": trustworthiness(vectors, places)}


def environment(folder: Path, package: str) -> str:
    """The interpreter of an environment that has the package."""
    python = folder / package / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / package)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)
    return str(python)


def making(home: Path, name: str, size: int) -> dict[str, Any]:
    """CPU seconds of each step of `make_map`, then of taking it from the cache."""
    snapshot = require_collection(home, name)
    shutil.rmtree(snapshot.layout.root / "map", ignore_errors=True)
    steps: dict[str, float] = {}
    last = [time.process_time(), "reading"]

    def report(step: str, _done: int, _total: int) -> None:
        now = time.process_time()
        steps[last[1]] = steps.get(last[1], 0.0) + now - last[0]
        last[:] = [now, step]

    started = time.process_time()
    made = make_map(snapshot, MapSettings(sample=size), progress=report)
    whole = time.process_time() - started
    started = time.process_time()
    make_map(snapshot, MapSettings(sample=size))
    again = time.process_time() - started
    return {"points": len(made.sample), "cpu": whole, **steps, "from the cache": again, "kept": made.facts.kept}


def processor_seconds() -> float:
    """What all processes below this one have used, the browser's among them."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(encoding="latin-1").rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
            used[int(stat.parent.name)] = int(fields[11]) + int(fields[12])
    below = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(used.get(process, 0) for process in below - {os.getpid()}) / os.sysconf("SC_CLK_TCK")


def frames(home: Path, name: str, size: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    made = make_map(require_collection(home, name), MapSettings(sample=size))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "map.html"
        write_page(page_file, made)
        chromium = shutil.which("chromium")
        for title, flags in (("as it comes", []), ("without WebGL", ["--disable-3d-apis"])):
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *flags])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(page_file.as_uri())
            page.wait_for_function("window.mapView")
            before = processor_seconds()
            seen = page.evaluate(FRAMES, SECONDS)
            spent = processor_seconds() - before
            browser.close()
            gaps = np.diff(seen["stamps"])
            found[f"{title}, {seen['points']} points"] = {
                "drawn by": "WebGL" if seen["fast"] else "pixels",
                "frames a second": 1000 / float(np.mean(gaps)),
                "median gap ms": float(np.median(gaps)),
                "95 % gap ms": float(np.percentile(gaps, 95)),
                "CPU ms a frame": 1000 * spent / len(seen["stamps"]),
                "script ms a frame": statistics.median(seen["costs"]),
                "page MB": page_file.stat().st_size / 1e6,
            }
    return found


def print_table(title: str, figures: dict[str, dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for each in figures.values() for name in each))
    print(f"{title:<28}" + "".join(f"{name:>18}" for name in names))
    for row, each in figures.items():
        print(f"{row:<28}" + "".join(f"{shown(each.get(name, '')):>18}" for name in names))


def shown(cell: Any) -> str:
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", help=f"of {', '.join(STEPS)}; all by default")
    parser.add_argument("--passages", type=int, default=50_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 50_000], help="rows that the methods get")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "pipeline-map", help="what is kept")
    parser.add_argument("--texts", type=Path, help="a folder of texts  [default: that of corpus.py]")
    parser.add_argument("--home", type=Path, help="where the collection is  [default: made below --work]")
    parser.add_argument("--collection", default="passages")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    home = options.home or options.work
    layout = Layout.of(home, options.collection)
    if not layout.generations():
        make_collection(layout, texts_in(options.texts or corpus(options.work), options.passages))
    chosen = options.steps or STEPS
    results: dict[str, dict[str, Any]] = {}
    if "methods" in chosen:
        results["methods"] = methods(
            home, options.collection, options.sizes, options.work / "environments", not options.no_peers
        )
    if "make" in chosen:
        results["make"] = {options.collection: making(home, options.collection, options.passages)}
    if "frames" in chosen:
        results["frames"] = frames(home, options.collection, options.passages)
    if options.json:
        print(json.dumps(results))
        return
    for title, figures in results.items():
        print_table(title, figures)


if __name__ == "__main__":
    main()
