"""LangChain with FAISS, tuned: documents are added in slices, which bounds memory. `--default` is the docs' way."""

import sys
import time

started = time.perf_counter()
import faiss  # noqa: E402
from langchain_community.docstore.in_memory import InMemoryDocstore  # noqa: E402
from langchain_community.vectorstores import FAISS  # noqa: E402
from langchain_core.documents import Document  # noqa: E402
from langchain_ollama import OllamaEmbeddings  # noqa: E402
from langchain_text_splitters import RecursiveCharacterTextSplitter  # noqa: E402
from pieces import DIMENSION, LIMIT, MODEL, files, report, task  # noqa: E402

imports = time.perf_counter() - started


def main() -> None:
    job = task()
    splitter = RecursiveCharacterTextSplitter(chunk_size=LIMIT, chunk_overlap=0, add_start_index=True)
    embeddings = OllamaEmbeddings(model=MODEL, base_url=job.url)
    if "--default" in sys.argv:
        documents = [Document(page_content=text, metadata={"source": path}) for path, text in files(job.corpus)]
        split = splitter.split_documents(documents)
        store, count = FAISS.from_documents(split, embeddings), len(split)
    else:
        store = FAISS(embeddings, faiss.IndexFlatIP(DIMENSION), InMemoryDocstore(), {})
        count, waiting = 0, []
        for path, text in files(job.corpus):
            waiting += splitter.split_documents([Document(page_content=text, metadata={"source": path})])
            while len(waiting) >= job.batch:
                store.add_documents(waiting[: job.batch])
                count += job.batch
                del waiting[: job.batch]
        if waiting:
            store.add_documents(waiting)
            count += len(waiting)
    store.save_local(str(job.target))
    packages = ("langchain-core", "langchain-community", "langchain-ollama", "faiss-cpu")
    report(count, imports=imports, packages=packages)


if __name__ == "__main__":
    main()
