"""Out and in again: what a collection holds comes back the same, bit for bit, through each format."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.exchange import export_collection, import_vectors
from pipeline.store import CollectionWriter, DocumentRow, Layout, SegmentBuilder, Snapshot
from tests.make import chunk, document_row, identity, unit_rows

NAMES = ["notes.parquet", "notes.jsonl", "notes.numpy"]
CHUNKER = {"strategy": "structure", "max_tokens": 200, "reserved_tokens": 3}
MODEL = replace(identity(), query_prefix="query: ", document_prefix="text: ", name="some-model:v2")

Contents = dict[str, tuple[DocumentRow, list[dict[str, Any]], bytes]]


def contents(snapshot: Snapshot) -> Contents:
    """Each live document by path: what is stored of it, its passages and its vectors' bytes."""
    found: Contents = {}
    for document in snapshot.documents():
        segment = snapshot.segment_of(document)
        rows = range(document.first_row, document.first_row + document.rows)
        assert document.row.path not in found
        vectors = segment.vectors[rows.start : rows.stop].tobytes()
        found[document.row.path] = (document.row, segment.passages(rows), vectors)
    return found


def make(layout: Layout, documents: list[tuple[DocumentRow, list[str], NDArray[np.float32]]], *, each: int = 2) -> None:
    """A collection of these documents, with a commit after `each` of them."""
    with CollectionWriter(layout) as writer:
        writer.create(MODEL, CHUNKER)
        for first in range(0, len(documents), each):
            builder = SegmentBuilder(8)
            for row, texts, vectors in documents[first : first + each]:
                chunks = [
                    replace(chunk(text, document_id=row.document_id, start=number * 10), page=number or None)
                    for number, text in enumerate(texts)
                ]
                builder.add(row, chunks, list(vectors))
            writer.commit(builder)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Five documents in three segments; the second is dead, the fourth has a newer file time, the last no hash."""
    layout = Layout.of(tmp_path / "home", "notes")
    documents = [
        (
            document_row(f"/docs/{n}.md", content=f"{n}"),
            [f"{n} {word}" for word in "abc"[: n % 3 + 1]],
            unit_rows(n % 3 + 1, 8, seed=n),
        )
        for n in range(5)
    ]
    documents[4] = (replace(documents[4][0], content_hash="", metadata={"é": "\u2028", "a": ""}), *documents[4][1:])
    make(layout, documents)
    with CollectionWriter(layout) as writer:
        assert writer.snapshot
        dead = [document for document in writer.snapshot.documents() if document.row.path == "/docs/1.md"]
        writer.commit(SegmentBuilder(8), retired=dead, touched={"/docs/3.md": (77, 123_456_789)})
    return layout


@pytest.mark.parametrize("name", NAMES)
def test_collection_comes_back_as_it_was(layout: Layout, tmp_path: Path, name: str) -> None:
    """Documents, passages, vectors, model and chunk settings of the copy equal those of the original."""
    original = Snapshot.open(layout)
    report = export_collection(original, tmp_path / name)
    assert (report.documents, report.passages) == (4, 7)
    copy = Layout.of(tmp_path / "home", "copy")
    imported = import_vectors(copy, tmp_path / name)
    assert (imported.documents.added, imported.passages, imported.normalised, imported.ignored) == (4, 7, 0, [])
    restored = Snapshot.open(copy)
    assert contents(restored) == contents(original)
    assert sorted(contents(restored)) == ["/docs/0.md", "/docs/2.md", "/docs/3.md", "/docs/4.md"]
    assert contents(restored)["/docs/3.md"][0].mtime_ns == 123_456_789
    assert (restored.manifest.model, restored.manifest.chunker) == (MODEL, CHUNKER)


@pytest.mark.parametrize("name", NAMES)
def test_second_import_changes_nothing(layout: Layout, tmp_path: Path, name: str) -> None:
    """The same file again, into the copy and into the original: all is there, and no commit is made."""
    export_collection(Snapshot.open(layout), tmp_path / name)
    copy = Layout.of(tmp_path / "home", "copy")
    import_vectors(copy, tmp_path / name)
    for target in (copy, layout):
        before = Snapshot.open(target).manifest
        report = import_vectors(target, tmp_path / name)
        assert (report.documents.unchanged, report.documents.updated, report.passages) == (4, 0, 0)
        assert Snapshot.open(target).manifest == before


def test_changed_document_replaces_the_one_that_was_there(layout: Layout, tmp_path: Path) -> None:
    """After the original has moved on, an older export brings its state back, document by document."""
    export_collection(Snapshot.open(layout), tmp_path / "old.parquet")
    old = contents(Snapshot.open(layout))
    row, texts = document_row("/docs/2.md", content="new"), ["new"]
    with CollectionWriter(layout) as writer:
        assert writer.snapshot
        gone = [document for document in writer.snapshot.documents() if document.row.path == "/docs/2.md"]
        builder = SegmentBuilder(8)
        builder.add(row, [chunk(texts[0], document_id=row.document_id)], list(unit_rows(1, 8, seed=9)))
        writer.commit(builder, retired=gone)
    assert contents(Snapshot.open(layout)) != old
    report = import_vectors(layout, tmp_path / "old.parquet")
    assert (report.documents.updated, report.documents.unchanged, report.passages) == (1, 3, 3)
    assert contents(Snapshot.open(layout)) == old


def test_parquet_is_read_with_pyarrow_alone(layout: Layout, tmp_path: Path) -> None:
    """Texts, places and vectors stand in plain columns; the model stands in the schema's metadata."""
    export_collection(Snapshot.open(layout), tmp_path / "notes.parquet")
    table = pq.read_table(tmp_path / "notes.parquet")
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 8)
    assert table.column("text").to_pylist() == ["0 a", "2 a", "2 b", "2 c", "3 a", "4 a", "4 b"]
    assert table.column("path").to_pylist()[1:4] == ["/docs/2.md"] * 3
    assert table.column("page").to_pylist()[1:4] == [None, 1, 2]
    assert table.column("heading_path").to_pylist()[0] == ["Heading"]
    assert json.loads(table.column("metadata").to_pylist()[-1]) == {"é": "\u2028", "a": ""}
    vectors = table.column("vector").combine_chunks().flatten().to_numpy().reshape(-1, 8)
    assert vectors[1:4].tobytes() == unit_rows(3, 8, seed=2).tobytes()
    facts = json.loads(table.schema.metadata[b"pipeline"])
    assert facts["model"]["name"] == "some-model:v2"
    assert (facts["model"]["dimension"], facts["model"]["query_prefix"], facts["rows"]) == (8, "query: ", 7)
    assert facts["chunker"] == CHUNKER


def test_numpy_files_are_read_with_numpy_alone(layout: Layout, tmp_path: Path) -> None:
    """Row i of the array belongs to line i of the passages, and the array can be mapped."""
    export_collection(Snapshot.open(layout), tmp_path / "notes.numpy")
    vectors = np.load(tmp_path / "notes.numpy/vectors.npy", mmap_mode="r")
    lines = (tmp_path / "notes.numpy/passages.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["text"] for line in lines] == ["0 a", "2 a", "2 b", "2 c", "3 a", "4 a", "4 b"]
    assert vectors.dtype == np.float32
    assert vectors[1:4].tobytes() == unit_rows(3, 8, seed=2).tobytes()


def test_json_numbers_read_as_doubles_give_the_same_float32(tmp_path: Path) -> None:
    """Any JSON reader gets the stored bits back, whatever their exponents are."""
    bits = np.random.default_rng(5).integers(0, 2**32, 40_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    vectors = bits[np.isfinite(bits) & (np.abs(bits) < 1)][:16_000].reshape(-1, 8).copy()
    vectors[:, 0] = 1.0
    row = document_row("/docs/a.md")
    layout = Layout.of(tmp_path, "notes")
    make(layout, [(row, [f"text {n}" for n in range(len(vectors))], vectors)])
    export_collection(Snapshot.open(layout), tmp_path / "notes.jsonl")
    lines = (tmp_path / "notes.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    read = np.array([json.loads(line)["vector"] for line in lines], np.float64).astype(np.float32)
    assert read.tobytes() == vectors.tobytes()


@pytest.mark.slow
def test_large_collection_is_written_in_batches(tmp_path: Path) -> None:
    """Documents that are longer than a batch, and batches that hold many documents, all arrive in order."""
    sizes = [3, 5000, 1, 4095, 2, 700]
    layout = Layout.of(tmp_path, "notes")
    documents = [
        (document_row(f"/docs/{n}.md"), [f"{n} {i}" for i in range(size)], unit_rows(size, 8, seed=n))
        for n, size in enumerate(sizes)
    ]
    make(layout, documents, each=4)
    expected = [text for _, texts, _ in documents for text in texts]
    for name in NAMES:
        seen: list[int] = []
        report = export_collection(Snapshot.open(layout), tmp_path / name, progress=seen.append)
        assert (report.documents, report.passages) == (6, sum(sizes))
        assert sum(seen) == sum(sizes)
        assert max(seen) <= 4096
        copy = Layout.of(tmp_path, f"copy-{name}")
        import_vectors(copy, tmp_path / name)
        assert contents(Snapshot.open(copy)) == contents(Snapshot.open(layout))
    assert pq.read_table(tmp_path / "notes.parquet").column("text").to_pylist() == expected


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(TEXTS, TEXTS, st.lists(TEXTS, min_size=1, max_size=4), st.dictionaries(TEXTS, TEXTS, max_size=2)),
        min_size=1,
        max_size=4,
        unique_by=lambda document: document[0],
    )
)
def test_any_texts_come_back(documents: list[tuple[str, str, list[str], dict[str, str]]]) -> None:
    """Whatever stands in paths, titles, texts and metadata: controls, line separators, quotes, astral characters."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout.of(Path(folder), "notes")
        rows = [
            (replace(document_row(path), title=title, metadata=metadata), texts, unit_rows(len(texts), 8, seed=number))
            for number, (path, title, texts, metadata) in enumerate(documents)
        ]
        make(layout, rows)
        original = contents(Snapshot.open(layout))
        for name in NAMES:
            export_collection(Snapshot.open(layout), Path(folder) / name)
            copy = Layout.of(Path(folder), f"copy-{name}")
            import_vectors(copy, Path(folder) / name)
            assert contents(Snapshot.open(copy)) == original


def test_damaged_parquet_file_is_refused(layout: Layout, tmp_path: Path) -> None:
    """Pages carry checksums: an altered byte in the middle of an export never becomes part of a collection."""
    path = tmp_path / "out.parquet"
    export_collection(Snapshot.open(layout), path)
    content = bytearray(path.read_bytes())
    place = content.index(Snapshot.open(layout).segments[0].vectors[0].tobytes()[:16])
    content[place] ^= 1
    path.write_bytes(content)
    other = Layout.of(tmp_path / "other", "notes")
    with pytest.raises(PipelineError, match=r"out\.parquet"):
        import_vectors(other, path)
    assert not other.generations()
