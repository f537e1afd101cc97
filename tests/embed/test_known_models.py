"""The known models: what each needs, as its card says."""

import pytest

from pipeline.embed import known_model
from pipeline.embed.known import split_tag

REPRESENT = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("name", "dimension", "context", "query", "document"),
    [
        ("nomic-embed-text", 768, 2048, "search_query: ", "search_document: "),
        ("nomic-embed-text-v2-moe", 768, 512, "search_query: ", "search_document: "),
        ("mxbai-embed-large:335m", 1024, 512, REPRESENT, ""),
        ("snowflake-arctic-embed:22m", 384, 512, REPRESENT, ""),
        ("snowflake-arctic-embed:33m", 384, 512, REPRESENT, ""),
        ("snowflake-arctic-embed:110m", 768, 512, REPRESENT, ""),
        ("snowflake-arctic-embed:335m", 1024, 512, REPRESENT, ""),
        ("snowflake-arctic-embed2", 1024, 8192, "query: ", ""),
        ("all-minilm:33m", 384, 256, "", ""),
        ("bge-m3", 1024, 8192, "", ""),
        ("embeddinggemma", 768, 2048, "task: search result | query: ", "title: none | text: "),
    ],
)
def test_known_models_are_as_their_cards_say(
    name: str, dimension: int, context: int, query: str, document: str
) -> None:
    """Dimension, context and both prefixes of each."""
    known = known_model(name)
    assert known is not None
    assert known.dimension(split_tag(name)[1]) == dimension
    assert (known.context, known.query_prefix, known.document_prefix) == (context, query, document)


@pytest.mark.parametrize(("size", "dimension"), [("0.6b", 1024), ("4b", 2560), ("8b", 4096)])
def test_qwen3_is_told_the_task(size: str, dimension: int) -> None:
    """Its queries carry an instruction, its documents nothing; the dimension goes by size."""
    known = known_model(f"qwen3-embedding:{size}")
    assert known is not None
    assert known.dimension(size) == dimension
    assert known.query_prefix.startswith("Instruct: Given a web search query")
    assert known.query_prefix.endswith("\nQuery: ")
    assert known.document_prefix == ""
