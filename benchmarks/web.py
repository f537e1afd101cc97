"""What the search page costs: its weight, its first paint, and search as you type over HTTP beside the library alone.

    python benchmarks/web.py HOME COLLECTION [--queries 40] [--make 100000 --texts FOLDER]

HOME must hold the collection, and the models (or set OLLAMA_MODELS). With --make a collection that is not there is
made of so many real passages (of benchmarks/corpus.py, or of --texts), with indexes, whose vectors are those of latent
semantic analysis, of the model's dimension: what a search costs does not depend on what they mean. Prints
milliseconds, as the median and what 95 of 100 keep, and those of the processor: of the embedding, of the library's
search, of the same through HTTP; with Playwright and a Chromium also of the first paint; and the weight of the page.
"""

import argparse
import gzip
import http.client
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlencode

from corpus import corpus
from map import make_collection, texts_in

from pipeline.collection import Collection
from pipeline.config import Config, resolve_config
from pipeline.optimize import optimize_collection
from pipeline.query import MODES, SearchOptions
from pipeline.server import run_in_thread
from pipeline.web import WebApp, WebSettings
from pipeline.web.static_files import FOLDER, TYPES

WORDS = ("encryption", "keys", "rotated", "harbour", "water", "level", "bread", "oven", "travel", "archive", "engineer")


SHORT = 48
"""Tokens of a passage that is made: 20 MB of text have 100,000 of them."""


def made(config: Config, name: str, passages: int, texts: Path | None) -> None:
    """The collection, unless it is there."""
    with Collection(name, config) as collection:
        if collection.layout.generations():
            return
        folder = texts or corpus(config.home)
        make_collection(collection.layout, texts_in(folder, passages, SHORT), collection.embedder.identity)
    optimize_collection(config.home, name)


def weight() -> dict[str, int]:
    """Bytes of the page's files; those of the first view, which come before anything is typed, also compressed."""
    first = (
        "index.html",
        "theme.css",
        "app.css",
        "app.js",
        "api.js",
        "dom.js",
        "passages.js",
        "filters.js",
        "views/search.js",
        "icon.svg",
    )
    files = {
        path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.suffix in TYPES
    }
    return {
        "files": len(files),
        "bytes": sum(map(len, files.values())),
        "first_view_bytes": sum(len(files[name]) for name in first),
        "first_view_gzip": sum(len(gzip.compress(files[name], 9)) for name in first),
    }


def timed(call: Callable[[str], object], queries: Sequence[str]) -> dict[str, float]:
    """Milliseconds a call: the median, the time that 95 of 100 keep, and of this process's processor time."""
    times: list[float] = []
    cpu = time.process_time()
    for query in queries:
        started = time.perf_counter()
        call(query)
        times.append(1000 * (time.perf_counter() - started))
    cpu = 1000 * (time.process_time() - cpu) / len(times)
    return {
        "median": round(statistics.median(times), 2),
        "95 %": round(statistics.quantiles(times, n=20)[-1], 2),
        "cpu": round(cpu, 2),
    }


def first_paint(url: str) -> float | None:
    """Milliseconds from the navigation to the first contentful paint, the median of nine visits."""
    path = os.environ.get("PIPELINE_CHROMIUM") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if path is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        times = []
        for _ in range(9):
            page = browser.new_page()
            page.goto(url)
            page.locator("#query").wait_for()
            times.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            page.close()
        browser.close()
    return round(statistics.median(times), 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("collection")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--make", type=int, metavar="PASSAGES", help="make the collection, if it is not there")
    parser.add_argument("--texts", type=Path, help="a folder of texts for that  [default: that of corpus.py]")
    given = parser.parse_args()
    config = resolve_config({"home": given.home}, environ=os.environ, folder=Path.cwd())
    if given.make:
        made(config, given.collection, given.make, given.texts)
    queries = [f"{WORDS[at % len(WORDS)]} {WORDS[at * 5 % len(WORDS)]} {at}" for at in range(given.queries)]
    with WebApp(config, WebSettings(rate=1e6, burst=10**6)) as app, run_in_thread(app) as url:
        collection: Collection = app.library.collection(given.collection)
        connection = http.client.HTTPConnection(url.removeprefix("http://"))

        def timed_over_http(mode: str) -> dict[str, float]:
            connection.close()  # the server has closed it if it stood idle
            return timed(lambda query: over_http(query, mode), queries)

        def over_http(query: str, mode: str) -> None:
            asked = urlencode({"q": query, "k": 20, "highlight": "true", "mode": mode})
            connection.request("GET", f"/api/collections/{given.collection}/search?{asked}")
            assert json.loads(connection.getresponse().read())["hits"] is not None

        def direct(query: str, mode: str) -> None:
            collection.find(query, SearchOptions(k=20, mode=mode))

        direct("warm", "hybrid")
        over_http("warm", "hybrid")
        embedder = collection.source().embedder
        result = {
            "passages": collection.snapshot.manifest.live_rows,
            "embedding": timed(embedder.embed_query, queries),
            **{f"library_{mode}": timed(lambda query, mode=mode: direct(query, mode), queries) for mode in MODES},
            **{f"http_{mode}": timed_over_http(mode) for mode in MODES},
            "first_paint": first_paint(url),
            "page": weight(),
        }
    beside = {name: round(result["http_hybrid"][name] - result["embedding"][name], 2) for name in ("median", "cpu")}
    result["http_hybrid_beside_embedding"] = beside
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
