"""Chunking speed: ours beside one bare encode of the same text and beside other splitters, in one run.

Peers run in an environment of their own, made here; ours runs in this one. Each is timed in CPU seconds of its process,
in rounds one after the other so that all see the same machine, and the median counts. Every splitter has the same
budget in tokens of the same vocabulary. Usage: chunking.py FILE_OR_FOLDER... [--megabytes 4] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

BUDGET = 254
PEERS = ["tokenizers", "langchain-text-splitters", "semantic-text-splitter", "chonkie"]
PEER_ENVIRONMENT = Path(tempfile.gettempdir()) / "pipeline-chunking-peers"

PEER_CODE = r"""
import json, sys, time
from importlib.metadata import version
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

texts, name, budget = json.load(open(sys.argv[1]))["texts"], sys.argv[2], int(sys.argv[3])
vocabulary = json.load(open(sys.argv[1]))["vocabulary"]
bert = [t if t.startswith("[") else t[1:] if t.startswith("\u2581") else "##" + t for t in vocabulary]
model = models.WordPiece({t: i for i, t in enumerate(bert)}, unk_token="[UNK]", max_input_chars_per_word=10**6)
tokenizer = Tokenizer(model)
tokenizer.normalizer = normalizers.BertNormalizer()
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
count = lambda text: len(tokenizer.encode(text, add_special_tokens=False))

if name == "tokenizers":
    split = lambda text: tokenizer.encode(text, add_special_tokens=False).offsets[:1]
elif name == "langchain-text-splitters":
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    split = RecursiveCharacterTextSplitter(chunk_size=budget, chunk_overlap=0, length_function=count).split_text
elif name == "semantic-text-splitter":
    from semantic_text_splitter import TextSplitter
    split = TextSplitter.from_huggingface_tokenizer(tokenizer, budget).chunks
else:
    from chonkie import RecursiveChunker
    split = RecursiveChunker(tokenizer=tokenizer, chunk_size=budget).chunk
split("warm up. " * 50)
started = time.process_time()
chunks = sum(len(split(text)) for text in texts)
seconds = time.process_time() - started
print(json.dumps({"seconds": seconds, "chunks": chunks, "version": version(name)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--megabytes", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--host", default="embedded", help="server that hands out the vocabulary of all-minilm")
    given = parser.parse_args()
    vocabulary = vocabulary_of(given.host)
    documents = read(given.paths, given.megabytes)
    size = sum(len(document.text.encode("utf-8", "replace")) for document in documents)
    print(f"{len(documents)} documents, {size / 1e6:.1f} MB, {BUDGET} tokens a chunk, median of {given.rounds} rounds")
    python = peer_environment()
    results: dict[str, list[dict[str, float]]] = {}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"texts": [document.text for document in documents], "vocabulary": vocabulary}, file)
        file.flush()
        for _ in range(given.rounds):
            for strategy in ("structure", "sentences", "fixed"):
                results.setdefault(f"ours, {strategy}", []).append(ours(documents, vocabulary, strategy))
            for peer in PEERS:
                command = [python, "-c", PEER_CODE, file.name, peer, str(BUDGET)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                results.setdefault(f"{peer} {found['version']}", []).append(found)
    speeds = {
        name: size / 1e6 / statistics.median(each["seconds"] for each in found) for name, found in results.items()
    }
    bare = next(speed for name, speed in speeds.items() if name.startswith("tokenizers"))
    for name, speed in speeds.items():
        print(f"{name:<36} {speed:7.2f} MB/s  {speed / bare:6.2f} x tokenizers  {results[name][0]['chunks']:>7} chunks")


def vocabulary_of(host: str) -> list[str]:
    from pipeline.config import Config
    from pipeline.connect import connect
    from pipeline.embed.identity import tokenizer_of

    connection = connect(Config(host=host))
    try:
        found = tokenizer_of(connection.client, "all-minilm")
    finally:
        connection.close()
    assert found is not None
    return list(found.tokens)


def read(paths: list[Path], megabytes: float) -> list:
    from pipeline.errors import ReadError
    from pipeline.read import Found, discover, read_document

    documents, size = [], 0
    for item in discover(paths):
        if not isinstance(item, Found):
            continue
        try:
            documents.append(read_document(item.path))
        except ReadError:
            continue
        size += item.size
        if size >= megabytes * 1e6:
            break
    return documents


def ours(documents: list, vocabulary: list[str], strategy: str) -> dict[str, float]:
    from pipeline.chunk import ChunkSettings, WordPieceCounter, chunk_document

    counter, settings = WordPieceCounter(vocabulary), ChunkSettings(strategy=strategy, max_tokens=BUDGET)
    started = time.process_time()
    chunks = sum(1 for document in documents for _ in chunk_document(document, settings=settings, counter=counter))
    return {"seconds": time.process_time() - started, "chunks": chunks}


def peer_environment() -> str:
    python = PEER_ENVIRONMENT / "bin" / "python"
    ready = PEER_ENVIRONMENT / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER_ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True)
        ready.touch()
    return str(python)


if __name__ == "__main__":
    print(f"pipeline {version('pipeline')}, Python {sys.version.split()[0]}")
    main()
