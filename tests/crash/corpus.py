"""Documents whose text follows from name and version alone, and the check that a collection holds just such ones.

In: snapshots. Out: which version of each document is in it; an AssertionError if any is not whole, not itself, or has
another vector than its text gives. Texts and vectors are computed anew, from nothing that was stored.
"""

import hashlib
import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path

from pipeline.chunk import ChunkSettings, chunk_document, token_counter
from pipeline.read import read_document
from pipeline.store import Snapshot
from pipeline.types import Chunk
from tests.crash.server import vector_for

VERSION = re.compile(r"(\S+) version (\d+) of ")
WORDS_OF_PARAGRAPH = 30


def document_text(name: str, version: int) -> str:
    """A heading, and one to five paragraphs, of which every third changes from one version to the next."""
    count = 1 + _number(name, version) % 5
    parts = [f"# {name}", f"{name} version {version} of {count} parts."]
    for place in range(count):
        since = max((other for other in range(version + 1) if (other + place) % 3 == 0), default=0)
        words = (f"w{_number(name, place, since, word) % 10**6:06}" for word in range(WORDS_OF_PARAGRAPH))
        parts.append(f"{name} part {place} since {since}: {' '.join(words)}.")
    return "\n\n".join(parts) + "\n"


def write_document(folder: Path, name: str, version: int) -> None:
    """Puts a version in place; each has a file time of its own, long ago."""
    path = folder / f"{name}.md"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(document_text(name, version))
    os.utime(temporary, ns=(10**18 + version, 10**18 + version))
    temporary.replace(path)


@lru_cache(maxsize=4096)
def expected_chunks(name: str, version: int, settings: ChunkSettings) -> tuple[Chunk, ...]:
    """The chunks of a version, cut now."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.md"
        path.write_text(document_text(name, version))
        return tuple(chunk_document(read_document(path), settings=settings, counter=token_counter(None)))


@lru_cache(maxsize=16384)
def vector_bytes(model: str, text: str) -> bytes:
    return vector_for(model, text).tobytes()


def versions_in(snapshot: Snapshot) -> dict[str, int]:
    """The version of each live document by name, once every passage and vector of each has been compared."""
    model = snapshot.manifest.model.name
    settings = ChunkSettings(**snapshot.manifest.chunker)
    found: dict[str, int] = {}
    rows = 0
    for document in snapshot.documents():
        name = Path(document.row.path).stem
        segment = snapshot.segment_of(document)
        places = range(document.first_row, document.first_row + document.rows)
        passages = segment.passages(places)
        assert passages, f"{name} has no passages"
        match = VERSION.search(passages[0]["text"])
        assert match and match[1] == name, f"{name} starts with {passages[0]['text']!r}"
        version = int(match[2])
        assert name not in found, f"{name} is there twice: versions {found.get(name)} and {version}"
        text = document_text(name, version)
        assert document.row.content_hash == hashlib.sha256(text.encode()).hexdigest(), f"{name} has another hash"
        chunks = expected_chunks(name, version, settings)
        assert len(passages) == len(chunks), f"{name} version {version} has {len(passages)} of {len(chunks)} passages"
        for row, passage, chunk in zip(places, passages, chunks, strict=True):
            for column in ("text", "start", "end", "start_line", "end_line", "content_hash"):
                assert passage[column] == getattr(chunk, column), f"{name}: {column} is {passage[column]!r}"
            assert tuple(passage["heading_path"]) == chunk.heading_path
            assert passage["document_id"] == document.row.document_id
            stored = segment.vectors[row].tobytes()
            assert stored == vector_bytes(model, chunk.embedded_text), f"{name}: row {row} has another text's vector"
            assert segment.live_mask[row], f"{name}: row {row} is dead"
        found[name] = version
        rows += len(places)
    assert rows == snapshot.manifest.live_rows, f"{rows} rows, the manifest says {snapshot.manifest.live_rows}"
    return found


def stored_hashes(snapshot: Snapshot) -> set[bytes]:
    """Content hashes of every row, dead or alive: what has a vector need not be embedded again."""
    return {
        content_hash
        for segment in snapshot.segments
        for content_hash in segment.content_hashes(range(segment.record.rows))
    }


def hash_of(embedded_text: str) -> bytes:
    return hashlib.blake2b(embedded_text.encode(), digest_size=16).digest()


def _number(*parts: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())
