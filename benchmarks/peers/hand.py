"""The floor: what a good engineer writes by hand in an afternoon, with nothing that a second run would need.

Threads over `http.client`, replies decoded by simdjson, rows written to Arrow as they come. It cuts by characters,
knows neither structure nor tokens, keeps no hashes, checks nothing, tries nothing again, and flushes only at its end.
"""

import http.client
import json
import os
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

started = time.perf_counter()
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import simdjson  # noqa: E402
from pieces import DIMENSION, MODEL, chunks, report, slices, task  # noqa: E402

imports = time.perf_counter() - started

WORKERS = 8
local = threading.local()
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("text", pa.string()),
        ("vector", pa.list_(pa.float32(), DIMENSION)),
    ]
)


def embed(host: str, port: int, texts: list[str]) -> Any:
    if not hasattr(local, "line"):
        local.line = http.client.HTTPConnection(host, port)
        local.parser = simdjson.Parser()
    body = json.dumps({"model": MODEL, "input": texts, "truncate": False}).encode()
    local.line.request("POST", "/api/embed", body, {"Content-Type": "application/json"})
    document = local.parser.parse(local.line.getresponse().read())
    return np.stack([np.frombuffer(row.as_buffer(of_type="d")).astype(np.float32) for row in document["embeddings"]])


def main() -> None:
    job = task()
    host, port = job.url.removeprefix("http://").split(":")
    place = job.target / "chunks.arrow"
    count = 0
    with pa.OSFile(str(place), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:

        def write(batch: list[Any], future: Future[Any]) -> int:
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(future.result().reshape(-1)), DIMENSION)
            columns = [pa.array(column) for column in zip(*batch, strict=True)]
            writer.write_batch(pa.record_batch([*columns, vectors], schema=SCHEMA))
            return len(batch)

        with ThreadPoolExecutor(WORKERS) as pool:
            waiting: deque[tuple[list[Any], Future[Any]]] = deque()
            for batch in slices(chunks(job.corpus), job.batch):
                waiting.append((batch, pool.submit(embed, host, int(port), [row[3] for row in batch])))
                if len(waiting) >= 2 * WORKERS:
                    count += write(*waiting.popleft())
            while waiting:
                count += write(*waiting.popleft())
    with place.open("rb+") as file:
        os.fsync(file.fileno())
    report(count, imports=imports, packages=("pyarrow", "pysimdjson"))


if __name__ == "__main__":
    main()
