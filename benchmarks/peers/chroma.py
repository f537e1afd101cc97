"""Chroma, persistent, with its Ollama embedding function. It has no splitter: the floor's spans go in, in slices."""

import time

started = time.perf_counter()
import chromadb  # noqa: E402
from chromadb.config import Settings  # noqa: E402
from chromadb.utils.embedding_functions import OllamaEmbeddingFunction  # noqa: E402
from pieces import MODEL, chunks, report, slices, task  # noqa: E402

imports = time.perf_counter() - started

LARGEST_ADD = 5461


def main() -> None:
    job = task()
    client = chromadb.PersistentClient(str(job.target), Settings(anonymized_telemetry=False))
    embed = OllamaEmbeddingFunction(url=job.url, model_name=MODEL)
    collection = client.create_collection("notes", embedding_function=embed)
    count = 0
    for batch in slices(chunks(job.corpus), LARGEST_ADD):
        collection.add(
            ids=[str(count + number) for number in range(len(batch))],
            documents=[text for _, _, _, text in batch],
            metadatas=[{"path": path, "start": start, "end": end} for path, start, end, _ in batch],
        )
        count += len(batch)
    report(count, imports=imports, packages=("chromadb", "ollama"))


if __name__ == "__main__":
    main()
