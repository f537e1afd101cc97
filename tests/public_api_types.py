"""The public API as a type checker sees it. Never run: `scripts/check` type-checks it."""

from collections.abc import Generator
from typing import assert_type

import pipeline
from pipeline.api import ChatReply, EmbedReply, ModelInfo
from pipeline.types import Citation, Hit


def library() -> None:
    with pipeline.open_collection("notes", model="all-minilm", home="/tmp") as notes:
        assert_type(notes, pipeline.Collection)
        assert_type(notes.index("docs/").chunks.embedded, int)
        assert_type(notes.export("out.parquet", overwrite=True).passages, int)
        assert_type(notes.import_vectors("out.parquet").documents.unchanged, int)
        hits = notes.search("question", k=3, plan="split")
        assert_type(hits, list[Hit])
        assert_type(hits[0].score, float)
        answer = notes.ask("question", on_text=lambda text: None)
        assert_type(answer.citations, tuple[Citation, ...])


def client() -> None:
    with pipeline.Client("localhost") as client:
        assert_type(client.tags(), tuple[ModelInfo, ...])
        assert_type(client.embed("m", ["a"]), EmbedReply)
        assert_type(client.chat_stream("m", [{"role": "user", "content": "hi"}]), Generator[ChatReply])


async def async_client() -> None:
    async with pipeline.AsyncClient("localhost") as client:
        assert_type(await client.chat("m", [{"role": "user", "content": "hi"}]), ChatReply)
        async for piece in client.chat_stream("m", []):
            assert_type(piece, ChatReply)
