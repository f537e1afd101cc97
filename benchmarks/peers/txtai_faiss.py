"""txtai over litellm, content stored. It has no splitter of this kind: the floor's spans go in."""

import time

started = time.perf_counter()
from pieces import MODEL, chunks, report, task  # noqa: E402
from txtai import Embeddings  # noqa: E402

imports = time.perf_counter() - started


def main() -> None:
    job = task()
    embeddings = Embeddings(
        method="litellm", path=f"ollama/{MODEL}", vectors={"api_base": job.url}, content=True, backend="faiss"
    )
    count = 0

    def rows() -> object:
        nonlocal count
        for path, start, end, text in chunks(job.corpus):
            count += 1
            yield f"{path}:{start}:{end}", text, None

    embeddings.index(rows())
    embeddings.save(str(job.target / "index"))
    report(count, imports=imports, packages=("txtai", "litellm", "torch"))


if __name__ == "__main__":
    main()
