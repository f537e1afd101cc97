"""What is known of embedding models without asking a server: dimension, context and the prefixes they need.

In: a model name as the user gives it. Out: a `KnownModel`, or None for one that has to be learned from
`/api/show` and the first reply. The server adds no prefix itself, and a missing one costs much of the quality.
Sources: the model cards on Hugging Face of nomic-ai/nomic-embed-text-v1.5, -v2-moe, mixedbread-ai/mxbai-embed-large-v1,
Snowflake/snowflake-arctic-embed-*, sentence-transformers/all-MiniLM-L6-v2, BAAI/bge-m3, google/embeddinggemma-300m
and Qwen/Qwen3-Embedding-*.
"""

from __future__ import annotations

from dataclasses import dataclass

REPRESENT = "Represent this sentence for searching relevant passages: "
QWEN3_TASK = "Given a web search query, retrieve relevant passages that answer the query"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """`dimensions` is by tag, `""` for any other tag; `context` is in tokens, special tokens included."""

    dimensions: dict[str, int]
    context: int
    query_prefix: str = ""
    document_prefix: str = ""

    def dimension(self, tag: str) -> int | None:
        size = tag.split("-", maxsplit=1)[0]
        return self.dimensions.get(tag) or self.dimensions.get(size) or self.dimensions.get("")


KNOWN = {
    "nomic-embed-text": KnownModel(
        dimensions={"": 768},
        context=2048,
        query_prefix="search_query: ",
        document_prefix="search_document: ",
    ),
    "nomic-embed-text-v2-moe": KnownModel(
        dimensions={"": 768},
        context=512,
        query_prefix="search_query: ",
        document_prefix="search_document: ",
    ),
    "mxbai-embed-large": KnownModel(dimensions={"": 1024}, context=512, query_prefix=REPRESENT),
    "snowflake-arctic-embed": KnownModel(
        dimensions={"": 1024, "22m": 384, "33m": 384, "110m": 768, "137m": 768, "335m": 1024},
        context=512,
        query_prefix=REPRESENT,
    ),
    "snowflake-arctic-embed2": KnownModel(dimensions={"": 1024}, context=8192, query_prefix="query: "),
    "all-minilm": KnownModel(dimensions={"": 384}, context=256),
    "bge-m3": KnownModel(dimensions={"": 1024}, context=8192),
    "embeddinggemma": KnownModel(
        dimensions={"": 768},
        context=2048,
        query_prefix="task: search result | query: ",
        document_prefix="title: none | text: ",
    ),
    "qwen3-embedding": KnownModel(
        dimensions={"0.6b": 1024, "4b": 2560, "8b": 4096, "": 4096},
        context=32768,
        query_prefix=f"Instruct: {QWEN3_TASK}\nQuery: ",
    ),
}


def known_model(name: str) -> KnownModel | None:
    """The table's entry for `name` (`model`, `model:tag`, `registry/namespace/model:tag`)."""
    return KNOWN.get(split_tag(name)[0].rsplit("/", 1)[-1].lower())


def split_tag(name: str) -> tuple[str, str]:
    """`("all-minilm", "latest")` from `all-minilm`: the tag defaults to `latest` as on the server."""
    head, colon, tail = name.rpartition(":")
    if not colon or "/" in tail:
        return name, "latest"
    return head, tail
