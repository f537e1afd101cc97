"""LanceDB with its Ollama embedding function. It has no splitter: the floor's spans go in, 512 an add."""

import time

started = time.perf_counter()
import lancedb  # noqa: E402
from lancedb.embeddings import get_registry  # noqa: E402
from lancedb.pydantic import LanceModel, Vector  # noqa: E402
from pieces import DIMENSION, MODEL, chunks, report, slices, task  # noqa: E402

imports = time.perf_counter() - started

ROWS_AN_ADD = 512


def main() -> None:
    job = task()
    embed = get_registry().get("ollama").create(name=MODEL, host=job.url)

    class Passage(LanceModel):
        path: str
        start: int
        end: int
        text: str = embed.SourceField()
        vector: Vector(DIMENSION) = embed.VectorField()  # type: ignore[valid-type]

    table = lancedb.connect(str(job.target)).create_table("notes", schema=Passage)
    count = 0
    for batch in slices(chunks(job.corpus), ROWS_AN_ADD):
        table.add([{"path": path, "start": start, "end": end, "text": text} for path, start, end, text in batch])
        count += len(batch)
    report(count, imports=imports, packages=("lancedb", "ollama"))


if __name__ == "__main__":
    main()
