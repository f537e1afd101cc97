"""Verifying: a sound collection passes, and every kind of damage is found, named, and does not hide another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CollectionNotFound
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, verify_collection
from pipeline.store.files import FileRecord, write_table, write_tables
from pipeline.store.manifest import read_manifest, write_manifest
from tests import make

DIMENSION = 8


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Two segments, of which the first has a dead document, and one newer file time."""
    layout = Layout.of(tmp_path, "notes")
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        writer.commit(built("/a", "/b"))
        assert writer.snapshot is not None
        gone = [item for item in writer.snapshot.documents() if item.row.path == "/a"]
        writer.commit(built("/c"), retired=gone, touched={"/b": (1, 2)})
    return layout


def built(*paths: str) -> SegmentBuilder:
    builder = SegmentBuilder(DIMENSION)
    for path in paths:
        texts = [f"{path} {number}" for number in range(3)]
        chunks = [make.chunk(text, document_id=path, start=100 * at) for at, text in enumerate(texts)]
        builder.add(make.document_row(path), chunks, list(make.unit_rows(3, DIMENSION)))
    return builder


def problems(layout: Layout) -> dict[str, str]:
    found = verify_collection(layout).problems
    return {str(Path(problem.path).relative_to(layout.root)): problem.error for problem in found}


def test_sound_collection_has_no_problems(layout: Layout) -> None:
    """Every file is counted: the manifest, two segments of five, a list of dead rows, the newer times."""
    steps: list[tuple[int, int]] = []
    found = verify_collection(layout, on_bytes=lambda done, total: steps.append((done, total)))
    assert found.problems == ()
    assert found.files == 1 + 2 * 5 + 1 + 1
    assert steps[-1] == (found.bytes, found.bytes)


@pytest.mark.parametrize(
    "name",
    [
        *(f"segments/00000002/{name}.arrow" for name in ("vectors", "passages", "documents", "hashes", "paths")),
        "segments/00000002/deleted-00000003.arrow",
        "touched-00000003.arrow",
        "manifest-00000003.json",
    ],
)
@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_damage_of_any_file_is_found(layout: Layout, name: str, damage: str) -> None:
    """The file is named, whatever was verified before."""
    path = layout.root / name
    content = bytearray(path.read_bytes())
    if damage == "missing" and name.startswith("manifest"):
        content = bytearray()
    if damage == "missing" and content:
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-3])
    else:
        if content:
            content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert set(problems(layout)) == {name}


def test_one_problem_does_not_hide_another(layout: Layout) -> None:
    """Both segments' damaged files are named in one go."""
    for segment in ("00000002", "00000003"):
        (layout.segment(segment) / "vectors.arrow").write_bytes(b"")
    assert set(problems(layout)) == {"segments/00000002/vectors.arrow", "segments/00000003/vectors.arrow"}


def put(layout: Layout, segment: int, record: FileRecord) -> None:
    """Makes a file that has been written anew what the manifest says it is."""
    manifest = read_manifest(layout)
    records = list(manifest.segments)
    files = tuple(record if file.name == record.name else file for file in records[segment].files)
    records[segment] = replace(records[segment], files=files)
    write_manifest(layout, replace(manifest, segments=tuple(records)))


def test_files_that_contradict_each_other_are_found(layout: Layout) -> None:
    """Right by their checksums and wrong all the same: vectors, places of documents, rows by hash, documents by path."""
    import pyarrow as pa

    folder = layout.segment("00000003")
    rows = make.unit_rows(3, DIMENSION)
    rows[1] *= 2
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), pa.float32()), DIMENSION)
    with pa.memory_map(str(folder / "documents.arrow")) as source:
        documents = pa.ipc.open_file(source).read_all()
    documents = documents.set_column(documents.schema.get_field_index("rows"), "rows", pa.array([2], pa.int64()))
    with pa.memory_map(str(folder / "hashes.arrow")) as source:
        hashes = pa.ipc.open_file(source).read_all()
    swapped = np.array([1, 0, 2], np.uint32)
    hashes = hashes.set_column(1, "row", pa.array(hashes.column("row").to_numpy()[swapped], pa.uint32()))
    with pa.memory_map(str(folder / "paths.arrow")) as source:
        paths = pa.ipc.open_file(source).read_all()
    paths = paths.set_column(paths.schema.get_field_index("size"), "size", pa.array([77], pa.int64()))
    for name in ("vectors.arrow", "documents.arrow", "hashes.arrow", "paths.arrow"):
        (folder / name).unlink()
    put(layout, 1, write_table(folder / "vectors.arrow", pa.table({"vector": column})))
    put(layout, 1, write_tables(folder / "documents.arrow", documents.schema, [documents], rows_per_batch=64))
    put(layout, 1, write_table(folder / "hashes.arrow", hashes))
    put(layout, 1, write_table(folder / "paths.arrow", paths))
    assert problems(layout) == {
        "segments/00000003/vectors.arrow": "the vector of row 1 has length 2 instead of 1",
        "segments/00000003/documents.arrow": "its documents account for 2 rows of 3",
        "segments/00000003/hashes.arrow": "it does not agree with passages.arrow",
        "segments/00000003/paths.arrow": "it does not agree with documents.arrow",
    }


def test_collection_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Verifying nothing is no success."""
    with pytest.raises(CollectionNotFound, match="'other'"):
        verify_collection(Layout.of(tmp_path, "other"))
