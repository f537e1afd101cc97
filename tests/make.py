"""Records for tests: small, and derived from their arguments alone."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from pipeline.embed import ModelIdentity
from pipeline.store import DocumentRow
from pipeline.types import Chunk, Hit, Passage, Scores


def chunk(text: str, *, document_id: str = "doc", start: int = 0, line: int = 1) -> Chunk:
    return Chunk(
        chunk_id=f"{document_id}-{start}",
        document_id=document_id,
        start=start,
        end=start + len(text),
        text=text,
        heading_path=("Heading",),
        start_line=line,
        end_line=line + text.count("\n"),
        embedded_text=text,
        content_hash=hashlib.blake2b(text.encode(), digest_size=16).digest(),
    )


def document_row(path: str, *, content: str = "") -> DocumentRow:
    return DocumentRow(
        document_id=path,
        path=path,
        title=path,
        format="text",
        size=len(content),
        mtime_ns=1,
        content_hash=hashlib.sha256(content.encode()).hexdigest(),
        metadata={"language": "en"},
    )


def identity(dimension: int = 8, *, name: str = "all-minilm", digest: str = "abc") -> ModelIdentity:
    return ModelIdentity(
        name=name, digest=digest, dimension=dimension, context=256, query_prefix="", document_prefix=""
    )


def unit_rows(count: int, dimension: int, *, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def hit(text: str, *, rank: int = 1, path: str = "/a.md", line: int = 1) -> Hit:
    return Hit(
        rank=rank,
        score=0.5,
        path=path,
        start_line=line,
        end_line=line + text.count("\n"),
        page=None,
        heading="",
        text=text,
        document_id="d",
        chunk_id=f"c{rank}",
        scores=Scores(dense=0.5),
    )


def passages(*texts: str) -> list[Passage]:
    return [Passage(number=number, hit=hit(text, rank=number)) for number, text in enumerate(texts, start=1)]
