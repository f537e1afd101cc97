"""LlamaIndex with FAISS. Its splitter counts tokens: 320 of them are about a thousand characters."""

import time

started = time.perf_counter()
import faiss  # noqa: E402
from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex  # noqa: E402
from llama_index.core.node_parser import SentenceSplitter  # noqa: E402
from llama_index.embeddings.ollama import OllamaEmbedding  # noqa: E402
from llama_index.vector_stores.faiss import FaissVectorStore  # noqa: E402
from pieces import DIMENSION, MODEL, files, report, task  # noqa: E402

imports = time.perf_counter() - started


def main() -> None:
    job = task()
    Settings.llm = None
    Settings.embed_model = OllamaEmbedding(model_name=MODEL, base_url=job.url, embed_batch_size=job.batch)
    splitter = SentenceSplitter(chunk_size=320, chunk_overlap=0)
    documents = [Document(text=text, metadata={"path": path}) for path, text in files(job.corpus)]
    nodes = splitter.get_nodes_from_documents(documents)
    storage = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss.IndexFlatIP(DIMENSION)))
    VectorStoreIndex(nodes, storage_context=storage)
    storage.persist(str(job.target))
    packages = ("llama-index-core", "llama-index-embeddings-ollama", "llama-index-vector-stores-faiss", "faiss-cpu")
    report(len(nodes), imports=imports, packages=packages)


if __name__ == "__main__":
    main()
