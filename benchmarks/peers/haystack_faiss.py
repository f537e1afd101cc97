"""Haystack with its FAISS store, its splitter by characters and its Ollama embedder."""

import time

started = time.perf_counter()
from haystack import Document  # noqa: E402
from haystack.components.preprocessors import RecursiveDocumentSplitter  # noqa: E402
from haystack_integrations.components.embedders.ollama import OllamaDocumentEmbedder  # noqa: E402
from haystack_integrations.document_stores.faiss import FAISSDocumentStore  # noqa: E402
from pieces import DIMENSION, LIMIT, MODEL, files, report, task  # noqa: E402

imports = time.perf_counter() - started


def main() -> None:
    job = task()
    splitter = RecursiveDocumentSplitter(
        split_length=LIMIT, split_overlap=0, split_unit="char", separators=["\n\n", "\n", " "]
    )
    embedder = OllamaDocumentEmbedder(model=MODEL, url=job.url, batch_size=job.batch, progress_bar=False)
    documents = [Document(content=text, meta={"path": path}) for path, text in files(job.corpus)]
    split = splitter.run(documents=documents)["documents"]
    store = FAISSDocumentStore(index_path=str(job.target / "index"), embedding_dim=DIMENSION)
    embedded = embedder.run(documents=split)["documents"]
    store.write_documents(embedded)
    store.save(str(job.target / "index"))
    report(len(split), imports=imports, packages=("haystack-ai", "ollama-haystack", "faiss-haystack"))


if __name__ == "__main__":
    main()
