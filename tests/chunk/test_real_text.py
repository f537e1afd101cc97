"""Twenty megabytes of real text, counted by the `tokenizers` library: spans, coverage and budget hold for all of it."""

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from pipeline.api import Client
from pipeline.chunk import ChunkSettings, WordPieceCounter, chunk_document
from pipeline.config import Config
from pipeline.connect import connect
from pipeline.embed.identity import tokenizer_of
from pipeline.errors import ReadError
from pipeline.read import Found, discover, read_document
from pipeline.types import Chunk, Document
from tests.conftest import EMBEDDING_MODEL

BUDGET = 254
BYTES = 20_000_000
SMALL_BYTES = 300_000


@pytest.fixture(scope="module")
def vocabulary(models_folder: Path) -> list[str]:
    """The vocabulary of the real model, as the embedded server hands it out."""
    connection = connect(Config(home=models_folder, host="embedded", models=models_folder))
    try:
        client: Client = connection.client
        found = tokenizer_of(client, EMBEDDING_MODEL)
    finally:
        connection.close()
    assert found is not None
    return list(found.tokens)


@pytest.fixture(scope="module")
def tokenizer(vocabulary: list[str]) -> Tokenizer:
    """The same vocabulary in the reference implementation; words may be as long as llama.cpp lets them be."""
    bert = [
        token if token.startswith("[") else token[1:] if token.startswith("\u2581") else f"##{token}"
        for token in vocabulary
    ]
    model = models.WordPiece(
        {token: number for number, token in enumerate(bert)}, unk_token="[UNK]", max_input_chars_per_word=10**6
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def installed_documents(most: int) -> Iterator[Document]:
    """Documents that are on this machine: those of the system, then the sources of installed packages."""
    roots = [Path("/usr/share/doc"), Path(sysconfig.get_paths()["stdlib"])]
    size = 0
    for item in discover([root for root in roots if root.is_dir()]):
        if not isinstance(item, Found) or item.size > 2_000_000:
            continue
        try:
            document = read_document(item.path)
        except ReadError:
            continue
        yield document
        size += len(document.text.encode("utf-8", "replace"))
        if size >= most:
            return


def check(document: Document, chunks: list[Chunk], tokenizer: Tokenizer) -> None:
    position = 0
    covered = bytearray(len(document.text))
    for chunk in chunks:
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.start >= position
        position = chunk.end
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
        text = chunk.embedded_text.encode("utf-8", "replace").decode()
        assert len(tokenizer.encode(text, add_special_tokens=False)) <= BUDGET, f"{document.path}:{chunk.start_line}"
    for block in document.blocks:
        left = [at for at in range(block.start, block.end) if not covered[at] and not document.text[at].isspace()]
        assert not left, f"{document.path} lost {document.text[left[0] : left[0] + 30]!r}"


@pytest.mark.parametrize("strategy", ["structure", "sentences", "fixed", "code"])
def test_real_text_is_cut_within_the_budget(strategy: str, vocabulary: list[str], tokenizer: Tokenizer) -> None:
    """A little of it with every chunker."""
    counter, settings = WordPieceCounter(vocabulary), ChunkSettings(strategy=strategy, max_tokens=BUDGET)
    for document in installed_documents(SMALL_BYTES):
        check(document, list(chunk_document(document, settings=settings, counter=counter)), tokenizer)


@pytest.mark.slow
def test_twenty_megabytes_are_cut_within_the_budget(vocabulary: list[str], tokenizer: Tokenizer) -> None:
    """All of it with the default chunker; nothing is lost and no chunk is too long by the reference count."""
    counter, settings = WordPieceCounter(vocabulary), ChunkSettings(max_tokens=BUDGET)
    most = int(os.environ.get("PIPELINE_TEST_BYTES") or BYTES)
    read = chunks = 0
    for document in installed_documents(most):
        found = list(chunk_document(document, settings=settings, counter=counter))
        check(document, found, tokenizer)
        read += len(document.text.encode("utf-8", "replace"))
        chunks += len(found)
    assert read >= most, f"there are only {read} bytes of text on this machine"
    assert chunks > read // 5_000
