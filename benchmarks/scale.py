"""What a run costs in a large collection: over unchanged files, and to add a thousand chunks.

Collections of several sizes are made through the store, with the files that they say they hold; then `pipeline index`
runs on them as a process, with the stand-in server. Prints a line a size. The vectors are cheap and short unless
`--dimension` says otherwise: what is measured is the collection's bookkeeping, not the embedding.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from processes import Cost, run_process, server

from pipeline.chunk import ChunkSettings
from pipeline.embed import ModelIdentity
from pipeline.store import CollectionWriter, DocumentRow, Layout, SegmentBuilder
from pipeline.types import Chunk

CHUNKS_PER_DOCUMENT = 25
ROWS_PER_SEGMENT = 4096
FILES_PER_FOLDER = 200
MODEL = "stand-in"


def make(home: Path, files: Path, *, chunks: int, dimension: int) -> None:
    """A collection `scale` of so many chunks, and its files, which are as the collection remembers them."""
    identity = ModelIdentity(
        name=MODEL, digest="5" * 64, dimension=dimension, context=2048, query_prefix="", document_prefix=""
    )
    draw = np.random.default_rng(5)
    pool = draw.standard_normal((ROWS_PER_SEGMENT, dimension)).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    with CollectionWriter(Layout.of(home, "scale")) as writer:
        writer.create(identity, asdict(ChunkSettings(max_tokens=256)))
        builder = SegmentBuilder(dimension)
        for number in range(chunks // CHUNKS_PER_DOCUMENT):
            path = files / f"{number // FILES_PER_FOLDER:05d}" / f"{number:07d}.txt"
            row, parts = document(path, number)
            builder.add(row, parts, list(pool[: len(parts)]))
            if builder.rows >= ROWS_PER_SEGMENT:
                writer.commit(builder)
                builder = SegmentBuilder(dimension)
        writer.commit(builder)


def document(path: Path, number: int) -> tuple[DocumentRow, list[Chunk]]:
    text = f"document {number}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    # Long ago: a file that was changed a moment ago is not trusted by its time.
    os.utime(path, ns=(10**18 + number, 10**18 + number))
    row = DocumentRow(
        document_id=f"{number:016x}",
        path=str(path),
        title=text.strip(),
        format="text",
        size=len(text),
        mtime_ns=10**18 + number,
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
    )
    return row, [chunk(row.document_id, number, place) for place in range(CHUNKS_PER_DOCUMENT)]


def chunk(document_id: str, number: int, place: int) -> Chunk:
    text = f"passage {place} of document {number}: " + "words that stand in it " * 4
    return Chunk(
        chunk_id=f"{number:08x}{place:08x}",
        document_id=document_id,
        start=place * 200,
        end=place * 200 + len(text),
        text=text,
        heading_path=("document",),
        start_line=place + 1,
        end_line=place + 1,
        embedded_text=text,
        content_hash=hashlib.blake2b(text.encode(), digest_size=16).digest(),
    )


def thousand(folder: Path, turn: int) -> None:
    """Forty new files of twenty-five chunks each."""
    folder.mkdir(parents=True)
    for number in range(40):
        parts = [
            f"Section {turn}-{number}-{place}. " + "some words of it " * 40 for place in range(CHUNKS_PER_DOCUMENT)
        ]
        (folder / f"{number}.txt").write_text("\n\n".join(parts))


def index(home: Path, url: str, *paths: Path) -> tuple[dict[str, object], Cost]:
    command = [sys.executable, "-m", "pipeline", "index", *map(str, paths), "-c", "scale", "--json"]
    output, cost = run_process([*command, "--host", url, "--model", MODEL, "--home", str(home)])
    return json.loads(output), cost


def measure(work: Path, *, chunks: int, dimension: int, repeats: int) -> dict[str, object]:
    home, files = work / "home", work / "files"
    started = time.perf_counter()
    make(home, files, chunks=chunks, dimension=dimension)
    made = time.perf_counter() - started
    unchanged, added = [], []
    with server(dimension=dimension) as url:
        for turn in range(repeats):
            report, cost = index(home, url, files)
            assert report["documents"]["unchanged"] == chunks // CHUNKS_PER_DOCUMENT, report  # type: ignore[index]
            unchanged.append(cost)
            thousand(work / f"new{turn}", turn)
            report, cost = index(home, url, work / f"new{turn}")
            assert report["chunks"]["embedded"] >= 1000, report  # type: ignore[index]
            added.append(cost)
    figures: dict[str, object] = {"chunks": chunks, "dimension": dimension, "made": round(made, 1)}
    for name, costs in (("unchanged", unchanged), ("add 1000", added)):
        figures[name] = {
            "wall": round(statistics.median(cost.wall for cost in costs), 2),
            "cpu": round(statistics.median(cost.cpu for cost in costs), 2),
            "peak_mb": round(max(cost.peak_mb for cost in costs)),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--work", type=Path, help="a folder with room; default a temporary one")
    options = parser.parse_args()
    for chunks in options.chunks:
        folder = Path(tempfile.mkdtemp(dir=options.work))
        try:
            print(
                json.dumps(measure(folder, chunks=chunks, dimension=options.dimension, repeats=options.repeats)),
                flush=True,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
