"""Vectors that somebody already has: foreign files are taken in, checked, and named where they are wrong."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import exchange
from pipeline.errors import (
    BadVector,
    CorruptCollection,
    DimensionMismatch,
    ModelMismatch,
    PipelineError,
    ReadError,
    StorageUnwritable,
    UsageError,
)
from pipeline.exchange import Columns, ImportReport, export_collection, import_vectors
from pipeline.exchange import importing as importing_module
from pipeline.exchange import passages as passages_module
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, Snapshot
from tests.embed_server import Behaviour, embed_server, vector_of
from tests.make import chunk, document_row, identity, unit_rows

MODEL = "some-model"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path / "home", "notes")


def take(layout: Layout, path: Path, model: str | None = MODEL, **options: Any) -> ImportReport:
    return import_vectors(layout, path, model=model, **options)


def texts(layout: Layout) -> dict[str, list[str]]:
    """Live passages by path."""
    snapshot = Snapshot.open(layout)
    found: dict[str, list[str]] = {}
    for document in snapshot.documents():
        assert document.row.path not in found
        rows = range(document.first_row, document.first_row + document.rows)
        found[document.row.path] = [passage["text"] for passage in snapshot.segment_of(document).passages(rows)]
    return found


def vectors(layout: Layout) -> np.ndarray[Any, Any]:
    snapshot = Snapshot.open(layout)
    return np.concatenate([segment.vectors[segment.live_mask] for segment in snapshot.segments])


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, vector: pa.Array, **columns: Any) -> Path:
    count = len(vector)
    pq.write_table(pa.table({"text": [f"text {n}" for n in range(count)], "vector": vector, **columns}), path)
    return path


KINDS: dict[str, Callable[[np.ndarray[Any, Any]], pa.Array]] = {
    "list of double": lambda rows: pa.array(rows.astype(np.float64).tolist(), pa.list_(pa.float64())),
    "list of float": lambda rows: pa.array(rows.tolist(), pa.list_(pa.float32())),
    "list of half": lambda rows: pa.array([list(row.astype(np.float16)) for row in rows], pa.list_(pa.float16())),
    "large list": lambda rows: pa.array(rows.tolist(), pa.large_list(pa.float32())),
    "fixed size list": lambda rows: pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_of_each_type_are_taken(layout: Layout, tmp_path: Path, kind: str) -> None:
    """Lists of any width of float become the same unit vectors in float32."""
    rows = unit_rows(3000, 8)
    report = take(layout, write_parquet(tmp_path / "in.parquet", KINDS[kind](rows)))
    assert (report.passages, report.total, report.dimension, report.model) == (3000, 3000, 8, MODEL)
    if kind == "list of half":
        np.testing.assert_allclose(vectors(layout), rows, atol=1e-3)
    else:
        assert vectors(layout).tobytes() == rows.tobytes()


@pytest.mark.parametrize(
    "column",
    [pa.array([b"\0" * 32]), pa.array(["1,2"]), pa.array([1.5]), pa.array([[[1.0]]]), pa.array([[True]])],
    ids=["binary", "text", "number", "nested", "bool"],
)
def test_column_that_holds_no_vectors_is_refused(layout: Layout, tmp_path: Path, column: pa.Array) -> None:
    """A column of another type is named with its type, and no collection is made."""
    with pytest.raises(UsageError, match=r"column 'vector' of .*in\.parquet is .*, not a list of numbers"):
        take(layout, write_parquet(tmp_path / "in.parquet", column))
    assert not layout.root.exists()


def test_vectors_of_other_lengths_are_normalised_and_counted(layout: Layout, tmp_path: Path) -> None:
    """A vector that is not of unit length is made so; the others keep their bits."""
    rows = unit_rows(5, 8)
    given = rows * np.array([[1], [3], [1], [0.5], [1]], np.float32)
    report = take(layout, write_parquet(tmp_path / "in.parquet", KINDS["list of float"](given)))
    assert report.normalised == 2
    stored = vectors(layout)
    np.testing.assert_allclose(stored, rows, atol=1e-6)
    assert stored[[0, 2, 4]].tobytes() == rows[[0, 2, 4]].tobytes()


def lines(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"text": f"text {n}", "vector": unit_rows(1, 4, seed=n)[0].tolist(), **more} for n in range(count)]


BAD: list[tuple[dict[str, Any], type[PipelineError], str]] = [
    ({"vector": [0.0, 0.0, 0.0, 0.0]}, BadVector, "the vector is all zero"),
    ({"vector": [1e300, 0.0, 0.0, 0.0]}, BadVector, "too large for float32"),
    ({"vector": [1.0, 0.0, 0.0]}, DimensionMismatch, "4 dimensions, this has 3"),
    ({"vector": [1.0, None, 0.0, 0.0]}, ReadError, "cannot be read: INCORRECT_TYPE"),
    ({"vector": "1 0 0 0"}, ReadError, "vector is not a list of numbers"),
    ({"vector": [[1.0, 0.0], [0.0, 0.0]]}, ReadError, "vector is a list of lists"),
    ({"vector": None}, ReadError, "vector is not a list of numbers"),
    ({"text": ""}, ReadError, "there is no text"),
    ({"text": None}, ReadError, "there is no text"),
    ({"text": 5}, ReadError, "text is 5, not a text"),
    ({"start": -1}, ReadError, "start is -1, not from 0"),
    ({"start": 10, "end": 9}, ReadError, "end is 9, not from 10"),
    ({"start_line": 2**40}, ReadError, "start_line is 1099511627776"),
    ({"page": 1.5}, ReadError, "page is 1.5, not a whole number"),
    ({"heading_path": "A"}, ReadError, "heading_path is not a list of texts"),
    ({"heading_path": [1]}, ReadError, "heading_path is 1, not a text"),
    ({"chunk_id": "one"}, ReadError, "the chunk_id 'one' stands in an earlier row"),
    ({"path": "/elsewhere.md"}, ReadError, "has a path, and the first row has none"),
]


@pytest.mark.parametrize(("fault", "kind", "reason"), BAD, ids=[reason for _, _, reason in BAD])
def test_bad_row_is_named_and_nothing_is_imported(
    layout: Layout, tmp_path: Path, fault: dict[str, Any], kind: type[PipelineError], reason: str
) -> None:
    """One bad row among thousands of good ones: the error says which and why, and no collection is made."""
    rows = lines(6000)
    rows[0]["chunk_id"] = "one"
    rows[3000] |= fault
    with pytest.raises(kind, match=f"row 3001.*{re.escape(reason)}"):
        take(layout, write_lines(tmp_path / "in.jsonl", rows))
    assert not layout.root.exists()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "cannot be read"),
        (b"[1]", "is not a JSON object"),
        (b"", "is empty"),
        (b'{"text": "\\ud800"}', "read"),
        (b"\xff", "cannot be read"),
    ],
    ids=["cut", "list", "empty", "surrogate", "not UTF-8"],
)
def test_line_that_is_no_object_is_named(layout: Layout, tmp_path: Path, line: bytes, reason: str) -> None:
    """A line that is cut, empty or something else is an error with its number."""
    path = write_lines(tmp_path / "in.jsonl", lines(3))
    content = path.read_bytes().split(b"\n")
    content[1] = line
    path.write_bytes(b"\n".join(content))
    with pytest.raises(ReadError, match=f"row 2: {reason}" if reason != "read" else "row 2: "):
        take(layout, path)
    assert not layout.root.exists()


def test_nulls_in_parquet_are_named(layout: Layout, tmp_path: Path) -> None:
    """A row without a vector, and a vector with a hole in it."""
    rows: list[Any] = unit_rows(3000, 8).tolist()
    for hole, reason in ((None, "there is no vector"), ([None, *rows[0][1:]], "vector has a null in it")):
        broken = [*rows[:2500], hole, *rows[2500:]]
        for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 8)):
            path = write_parquet(tmp_path / "in.parquet", pa.array(broken, kind))
            with pytest.raises(ReadError, match=f"row 2501: {reason}"):
                take(layout, path)


def test_ragged_vectors_in_parquet_are_named(layout: Layout, tmp_path: Path) -> None:
    """A vector of another length than the first one is an error with row and both lengths."""
    rows: list[Any] = unit_rows(3000, 8).tolist()
    rows[2000] = rows[2000][:7]
    path = write_parquet(tmp_path / "in.parquet", pa.array(rows, pa.list_(pa.float64())))
    with pytest.raises(DimensionMismatch, match=r"row 2001: .*8 dimensions, this has 7"):
        take(layout, path)


def test_documents_are_grouped_by_path(layout: Layout, tmp_path: Path) -> None:
    """Rows with one path are one document; what the file says of lines, spans and headings is kept."""
    rows = lines(5)
    for row, path in zip(rows, ["a", "a", "b", "c", "c"], strict=True):
        row["source"] = path
    rows[2] |= {"start": 7, "end": 13, "start_line": 3, "end_line": 4, "heading_path": ["X", "Y"], "page": 2}
    rows[2] |= {"title": "B", "metadata": {"language": "de", "year": 1999, "none": None}, "extra": 1}
    report = take(layout, write_lines(tmp_path / "in.jsonl", rows), columns=Columns(path="source"))
    assert (report.documents.added, report.ignored) == (3, ["extra"])
    assert texts(layout) == {"a": ["text 0", "text 1"], "b": ["text 2"], "c": ["text 3", "text 4"]}
    snapshot = Snapshot.open(layout)
    first, second, _ = snapshot.documents()
    assert (second.row.title, dict(second.row.metadata)) == ("B", {"language": "de", "year": "1999"})
    passage = snapshot.segments[0].passages([2])[0]
    assert (passage["start"], passage["end"], passage["start_line"], passage["end_line"]) == (7, 13, 3, 4)
    assert (passage["heading_path"], passage["page"]) == (["X", "Y"], 2)
    places = [(p["start"], p["end"], p["start_line"]) for p in snapshot.segments[0].passages([0, 1])]
    assert places == [(0, 6, 1), (7, 13, 2)]
    assert first.row.title == "a"


@pytest.mark.parametrize("fault", [{"title": "other"}, {"metadata": {"a": "b"}}, {"document_id": "x"}], ids=str)
def test_rows_of_a_document_must_agree_on_it(layout: Layout, tmp_path: Path, fault: dict[str, Any]) -> None:
    """Two titles for one path are an error with both rows; in a file without paths nothing is a document's."""
    rows = lines(3, title="A")
    rows[2] |= fault
    assert take(layout, write_lines(tmp_path / "free.jsonl", rows)).ignored == sorted({"title", *fault})
    for row in rows:
        row["path"] = "/a.md"
    with pytest.raises(ReadError, match=f"row 3: {next(iter(fault))} is not what row 1 says, which has the same path"):
        take(layout, write_lines(tmp_path / "in.jsonl", rows))


def test_rows_of_a_path_must_stand_together(layout: Layout, tmp_path: Path) -> None:
    """A path that comes again after another one is an error with the row, before anything is stored."""
    rows = [row | {"path": path} for row, path in zip(lines(4), "abca", strict=True)]
    with pytest.raises(ReadError, match="row 4: has the path of earlier rows"):
        take(layout, write_lines(tmp_path / "in.jsonl", rows))
    assert not layout.root.exists()


def test_file_without_paths_becomes_documents_of_its_own(layout: Layout, tmp_path: Path) -> None:
    """A long file is cut into parts, whose lines are the rows of the file; a shorter one later takes parts away."""
    path = write_lines(tmp_path / "in put.jsonl", lines(9000))
    take(layout, path)
    uri = path.as_uri()
    assert {name: len(found) for name, found in texts(layout).items()} == {
        uri: 4096,
        f"{uri}#4097": 4096,
        f"{uri}#8193": 808,
    }
    snapshot = Snapshot.open(layout)
    last = list(snapshot.documents())[-1]
    assert snapshot.segment_of(last).passages([last.first_row])[0]["start_line"] == 8193
    write_lines(path, lines(4100))
    report = take(layout, path)
    counts = report.documents
    assert (counts.unchanged, counts.updated, counts.removed, report.total) == (1, 1, 1, 4100)


def test_document_beyond_the_limit_is_refused(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path with more rows than may be held in memory is an error, not a growing process."""
    monkeypatch.setattr(passages_module, "MOST_ROWS", 10)
    with pytest.raises(ReadError, match="row 11: is one more than the 10 rows"):
        take(layout, write_lines(tmp_path / "in.jsonl", lines(12, path="/a.md")))


def test_model_must_be_named_and_be_the_same(layout: Layout, tmp_path: Path) -> None:
    """No name, another dimension than the named model has, another model than the collection's or the file's."""
    path = write_lines(tmp_path / "in.jsonl", lines(3))
    with pytest.raises(UsageError, match="does not say which model made its vectors"):
        take(layout, path, model=None)
    with pytest.raises(DimensionMismatch, match="model 'nomic-embed-text' gives 768 dimensions, this has 4"):
        take(layout, path, model="nomic-embed-text")
    assert not layout.root.exists()
    take(layout, path)
    before = Snapshot.open(layout).manifest
    assert (before.model.name, before.model.digest, before.model.dimension) == (MODEL, "", 4)
    with pytest.raises(ModelMismatch, match="was built with model 'some-model'"):
        take(layout, path, model="other-model")
    wide = write_parquet(tmp_path / "wide.parquet", KINDS["list of float"](unit_rows(2, 8)))
    with pytest.raises(DimensionMismatch):
        take(layout, wide)
    export_collection(Snapshot.open(layout), tmp_path / "out.parquet")
    with pytest.raises(ModelMismatch, match="are of model 'some-model', not 'other-model'"):
        take(layout, tmp_path / "out.parquet", model="other-model")
    assert Snapshot.open(layout).manifest == before


def test_other_digest_is_refused(layout: Layout, tmp_path: Path) -> None:
    """A file that states another digest of the model of the same name is not mixed in; one that states none is."""
    other = Layout.of(tmp_path / "home", "other")
    for target, digest in ((layout, "a" * 64), (other, "b" * 64)):
        with CollectionWriter(target) as writer:
            writer.create(identity(4, name=MODEL, digest=digest), {"max_tokens": 100})
            builder = SegmentBuilder(4)
            builder.add(document_row("/x.md"), [chunk("x")], list(unit_rows(1, 4)))
            writer.commit(builder)
    export_collection(Snapshot.open(other), tmp_path / "other.jsonl")
    with pytest.raises(ModelMismatch, match="digest bbbbbbbbbbbb, was aaaaaaaaaaaa"):
        take(layout, tmp_path / "other.jsonl", model=None)
    assert take(layout, write_lines(tmp_path / "in.jsonl", lines(3))).total == 4


def test_missing_columns_are_named_with_those_there_are(layout: Layout, tmp_path: Path) -> None:
    """The error lists the columns of the file and the option that names one."""
    path = write_lines(tmp_path / "in.jsonl", [{"body": "x", "embedding": [1.0, 0.0]}])
    with pytest.raises(UsageError, match="no column 'text'; it has body, embedding") as caught:
        take(layout, path)
    assert "--text-column" in caught.value.hint
    with pytest.raises(UsageError, match="no column 'source'"):
        take(layout, path, columns=Columns(text="body", vector="embedding", path="source"))
    assert take(layout, path, columns=Columns(text="body", vector="embedding")).total == 1


def test_numpy_array_with_lines_beside_it(layout: Layout, tmp_path: Path) -> None:
    """`NAME.npy` goes with `NAME.jsonl`; one line too few or too many is an error."""
    rows = unit_rows(5, 4).astype(np.float64)
    np.save(tmp_path / "in.npy", np.asfortranarray(rows))
    for count in (4, 6):
        write_lines(tmp_path / "in.jsonl", [{"text": f"t{n}"} for n in range(count)])
        with pytest.raises(ReadError, match=f"has 5 vectors and {count} lines"):
            take(layout, tmp_path / "in.npy")
    write_lines(tmp_path / "in.jsonl", [{"text": f"t{n}"} for n in range(5)])
    take(layout, tmp_path / "in.npy")
    np.testing.assert_allclose(vectors(layout), rows, atol=1e-7)


def test_array_that_is_none_is_refused(layout: Layout, tmp_path: Path) -> None:
    """Text, objects, one dimension, and bytes cut off at the end."""
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n')
    for array in (np.array([["a"]]), np.array([[None]]), np.ones(4)):
        np.save(tmp_path / "in.npy", array, allow_pickle=True)
        with pytest.raises(ReadError, match=r"in\.npy"):
            take(layout, tmp_path / "in.npy")
    np.save(tmp_path / "in.npy", unit_rows(100, 8))
    content = (tmp_path / "in.npy").read_bytes()
    (tmp_path / "in.npy").write_bytes(content[:-8])
    with pytest.raises(ReadError, match=r"cannot read .*in\.npy as a NumPy array"):
        take(layout, tmp_path / "in.npy")


def exported(layout: Layout, tmp_path: Path, name: str) -> Path:
    take(layout, write_lines(tmp_path / "in.jsonl", [row | {"path": f"/{n}"} for n, row in enumerate(lines(200))]))
    export_collection(Snapshot.open(layout), tmp_path / name)
    return tmp_path / name


def test_lines_that_were_cut_are_noticed(layout: Layout, tmp_path: Path) -> None:
    """An exported file that lost its last lines, at the end of a line, is refused by the number that it states."""
    path = exported(layout, tmp_path, "out.jsonl")
    content = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(content[:150]) + b"\n")
    with pytest.raises(ReadError, match="has 150 rows and says that it has 200"):
        take(Layout.of(tmp_path / "home", "copy"), path, model=None)


def test_damaged_parquet_is_an_error(layout: Layout, tmp_path: Path) -> None:
    """Cut short, empty, text: one sentence, no traceback, no collection."""
    path = exported(layout, tmp_path, "out.parquet")
    content = path.read_bytes()
    copy = Layout.of(tmp_path / "home", "copy")
    for damaged in (content[: len(content) // 2], b"", b"hello", content[:-8] + b"\0" * 8):
        path.write_bytes(damaged)
        with pytest.raises(ReadError, match="cannot be read as Parquet"):
            take(copy, path)
        assert not copy.root.exists()


@pytest.mark.parametrize(
    "change",
    [{"exchange": 2}, {"model": {}}, {"model": None}, {"rows": "1"}, {"chunker": {"colour": 1}}, {"chunker": None}],
    ids=str,
)
def test_facts_that_cannot_be_understood_are_refused(layout: Layout, tmp_path: Path, change: dict[str, Any]) -> None:
    """What a file says of its model is checked before it is believed."""
    path = exported(layout, tmp_path, "out.jsonl")
    beside = path.with_name("out.jsonl.model.json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | change))
    with pytest.raises(ReadError, match=r"version 2 of the exchange|cannot be understood"):
        take(Layout.of(tmp_path / "home", "copy"), path, model=None)


def test_import_that_is_cut_short_goes_on_where_it_was(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk error after some commits keeps those; the next import stores only the rest."""
    monkeypatch.setattr(importing_module, "COMMIT_ROWS", 50)
    rows = [row | {"path": f"/{n // 10}"} for n, row in enumerate(lines(400))]
    path = write_lines(tmp_path / "in.jsonl", rows)
    obstacle = layout.root / ".manifest-00000005.json.tmp"
    obstacle.mkdir(parents=True)
    with pytest.raises(StorageUnwritable):
        take(layout, path)
    kept = sum(map(len, texts(layout).values()))
    assert 0 < kept < 400
    obstacle.rmdir()
    report = take(layout, path)
    assert (report.documents.unchanged * 10, report.passages, report.total) == (kept, 400 - kept, 400)


def test_search_and_index_go_on_from_imported_vectors(tmp_path: Path) -> None:
    """A search embeds the question with the recorded model; `index` adds beside it and removes nothing."""
    behaviour = Behaviour(model=MODEL, dimension=16, digest="e" * 64)
    rows = [
        {"text": text, "vector": vector_of(text, 16).tolist(), "path": path}
        for text, path in (("alpha", "https://example.org/a"), ("beta", "notes/b.md"), ("gamma", "/elsewhere/c.md"))
    ]
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "d.txt").write_text("gamma")
    (docs / "e.txt").write_text("delta")
    (docs / ".pipelineignore").write_text("in.jsonl\n")
    # Stands in the folder that will be indexed: no document of that folder, though.
    path = write_lines(docs / "in.jsonl", [{"text": "omega", "vector": vector_of("omega", 16).tolist()}])
    with embed_server(behaviour) as url:
        with pipeline.open_collection("notes", model=MODEL, home=tmp_path / "home", host=url) as notes:
            notes.import_vectors(write_lines(tmp_path / "in.jsonl", rows))
            notes.import_vectors(path)
            hits = notes.search("beta", k=2)
            assert (hits[0].path, hits[0].text) == ("notes/b.md", "beta")
            assert hits[0].score > 0.999 > hits[1].score
            report = notes.index(docs)
            assert (report.documents.added, report.documents.removed, report.chunks.total) == (2, 0, 6)
            found = texts(notes.layout)
            assert len(found) == 6
            assert found[path.as_uri()] == ["omega"]
            assert notes.search("alpha", k=1)[0].path == "https://example.org/a"
            behaviour.dimension = 32
        with pipeline.open_collection("notes", home=tmp_path / "home", host=url) as notes:
            with pytest.raises(DimensionMismatch, match="gives 16 dimensions, this has 32"):
                notes.search("beta")


def test_index_finds_exported_documents_unchanged(tmp_path: Path) -> None:
    """A collection that is exported, imported elsewhere and indexed there costs a stat a file and no request."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(3):
        (docs / f"{number}.md").write_text(f"# Title {number}\n\ntext {number}\n")
        os.utime(docs / f"{number}.md", ns=(10**18, 10**18))
    behaviour = Behaviour(dimension=384)
    with embed_server(behaviour) as url:
        with pipeline.open_collection("notes", home=tmp_path / "one", host=url) as notes:
            notes.index(docs)
            notes.export(tmp_path / "out.parquet")
        behaviour.requests.clear()
        with pipeline.open_collection("notes", home=tmp_path / "two", host=url) as notes:
            notes.import_vectors(tmp_path / "out.parquet")
            report = notes.index(docs)
    assert (report.documents.unchanged, report.documents.added, report.chunks.total) == (3, 0, 3)
    assert behaviour.requests == []


def test_public_names_are_those_listed() -> None:
    """Every name of the part's `__all__` exists."""
    assert all(getattr(exchange, name) is not None for name in exchange.__all__)


def test_damaged_collection_is_not_exported(layout: Layout, tmp_path: Path) -> None:
    """A flipped byte in a vectors file ends the export with its name, and leaves what was there before."""
    path = exported(layout, tmp_path, "out.parquet")
    before = path.read_bytes()
    damaged = next(layout.segments.glob("*/vectors.arrow"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(CorruptCollection, match=r"vectors\.arrow"):
        export_collection(Snapshot.open(layout), path, overwrite=True)
    assert path.read_bytes() == before
