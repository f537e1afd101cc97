"""The map on disk: taken again, brought up to date, made anew when it no longer tells of what there is."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.map import MapSettings, find_map, make_map
from pipeline.map.cache import read_drawn, sample_of
from pipeline.map.sample import Sample
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, Snapshot, remove_collection, require_collection
from pipeline.store.manifest import read_manifest, write_manifest
from tests.clustered import Add, around, groups


def place_by_id(snapshot: Snapshot) -> dict[str, tuple[float, float]]:
    made = make_map(snapshot)
    passages = made.sample.scope.passages(made.sample.rows.tolist())
    return {each["chunk_id"]: tuple(place) for each, place in zip(passages, made.places.tolist(), strict=True)}


def steps_of(snapshot: Snapshot) -> list[str]:
    """The steps of making a map that were taken."""
    steps: list[str] = []
    make_map(snapshot, progress=lambda step, _done, _total: steps.append(step))
    return list(dict.fromkeys(steps))


def without(snapshot: Snapshot, paths: set[str]) -> Snapshot:
    retired = [document for document in snapshot.documents() if document.row.path in paths]
    with CollectionWriter(snapshot.layout) as writer:
        writer.commit(SegmentBuilder(16), retired=retired)
    return require_collection(snapshot.layout.root.parent.parent, snapshot.name)


def test_taken_again(add: Add) -> None:
    """The second time nothing is computed; before the first there is none."""
    snapshot = add(groups([20, 20]))
    assert find_map(snapshot) is None
    made = make_map(snapshot)
    assert steps_of(snapshot) == []
    found = find_map(snapshot)
    assert found is not None
    assert (found.places == made.places).all() and (found.clusters == made.clusters).all()
    assert found.facts == made.facts


def test_other_settings_are_another_map(add: Add) -> None:
    """Maps by sample and seed are kept beside each other."""
    snapshot = add(groups([30, 30]))
    make_map(snapshot)
    assert find_map(snapshot, MapSettings(sample=20)) is None
    make_map(snapshot, MapSettings(sample=20))
    assert find_map(snapshot, MapSettings(sample=20)) is not None and find_map(snapshot) is not None


def test_new_passages_are_put_among_their_neighbours(add: Add) -> None:
    """A few new passages leave the others where they are, and come to lie among those that say similar things."""
    before = place_by_id(add(groups([40, 40, 40])))
    snapshot = add([("/docs/late.md", ["late 0", "late 1"], around(1, 2, seed=9))])
    assert find_map(snapshot) is None
    assert steps_of(snapshot) == ["reading"]
    after = place_by_id(snapshot)
    assert {name: after[name] for name in before} == before
    made = make_map(snapshot)
    assert made.placed == 2
    assert made.notices == ("2 newer passages were put among their neighbours.",)
    own = np.array([place for name, place in before.items() if name.startswith("/docs/d1")])
    others = np.array([place for name, place in before.items() if not name.startswith("/docs/d1")])
    for late in (after["/docs/late.md-0"], after["/docs/late.md-1"]):
        assert np.linalg.norm(own - late, axis=1).min() < np.linalg.norm(others - late, axis=1).min()


def test_many_new_passages_are_projected(add: Add) -> None:
    """Where a third of the passages is new, the map is made anew, and nothing is left that was merely placed."""
    make_map(add(groups([30, 30])))
    snapshot = add(groups([15, 15], seed=5, name="new"))
    assert "projecting" in steps_of(snapshot)
    assert make_map(snapshot).placed == 0


def test_passages_that_go(add: Add) -> None:
    """Points of a removed document go, the others stay; when much has gone, the map is made anew."""
    snapshot = add(groups([40, 40, 12]))
    before = place_by_id(snapshot)
    fewer = without(snapshot, {"/docs/d2.md"})
    assert find_map(fewer) is not None
    after = place_by_id(fewer)
    assert after == {name: place for name, place in before.items() if not name.startswith("/docs/d2")}
    assert find_map(without(fewer, {"/docs/d1.md"})) is None


def test_a_moved_document_keeps_its_places(add: Add) -> None:
    """Passages are known by what was embedded of them: in another file they stay where they were."""
    snapshot = add(groups([30, 30]))
    before = place_by_id(snapshot)
    path, texts, vectors = groups([30, 30])[1]
    add([("/elsewhere.md", texts, vectors)])
    after = place_by_id(without(require_collection(snapshot.layout.root.parent.parent, "made"), {path}))
    assert [after[f"/elsewhere.md-{at}"] for at in range(30)] == [before[f"{path}-{at}"] for at in range(30)]


def test_other_vectors_are_another_map(add: Add) -> None:
    """A map that was made of another model's vectors is of no use."""
    snapshot = add(groups([20, 20]))
    make_map(snapshot)
    old = read_manifest(snapshot.layout)
    other = replace(old, generation=old.generation + 1, model=replace(old.model, digest="other"))
    write_manifest(snapshot.layout, other)
    changed = require_collection(snapshot.layout.root.parent.parent, "made")
    assert find_map(changed) is None
    assert "projecting" in steps_of(changed)


@pytest.mark.parametrize("content", [b"", b"not arrow", None], ids=["empty", "other content", "cut"])
def test_damaged_file_is_made_again(add: Add, content: bytes | None) -> None:
    """A file that cannot be read counts as none."""
    snapshot = add(groups([20, 20]))
    make_map(snapshot)
    file = snapshot.layout.root / "map" / "50000-0.arrow"
    file.write_bytes(file.read_bytes()[:400] if content is None else content)
    assert read_drawn(snapshot.layout, MapSettings()) is None
    assert "projecting" in steps_of(snapshot)
    assert find_map(snapshot) is not None


def test_a_known_sample_needs_no_hashes(add: Add) -> None:
    """What is drawn of an unchanged collection is known without its content hashes; of a changed one it is told anew."""
    snapshot = add(groups([20, 20]))
    settings = MapSettings(sample=30)
    made = make_map(snapshot, settings)
    again = require_collection(snapshot.layout.root.parent.parent, "made")
    found = find_map(again, settings)
    assert found is not None
    assert (found.sample.rows == made.sample.rows).all()
    assert (found.sample.keys == made.sample.keys).all()
    assert not any("hashes" in vars(segment) for segment in again.segments)
    fewer = without(snapshot, {"/docs/d1.md"})
    sample = sample_of(fewer, settings)
    assert (sample.rows == Sample.of(fewer, 30, 0).rows).all()
    assert len(sample) == 20


@pytest.mark.parametrize("content", [b"", b"not arrow", None], ids=["empty", "other content", "cut"])
def test_damaged_sample_is_made_again(add: Add, content: bytes | None) -> None:
    """A list of rows that cannot be read counts as none, and is written again."""
    snapshot = add(groups([20, 20]))
    make_map(snapshot)
    file = snapshot.layout.root / "map" / "50000-0.rows.arrow"
    whole = file.read_bytes()
    file.write_bytes(whole[:100] if content is None else content)
    assert find_map(snapshot) is not None
    assert file.read_bytes() == whole


def test_a_map_that_cannot_be_kept_is_drawn(add: Add, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be written beside the collection, there is a map all the same, and a warning."""
    snapshot = add(groups([20, 20]))
    (snapshot.layout.root / "map").write_text("in the way")
    assert len(make_map(snapshot).places) == 40
    assert "could not be kept" in caplog.text


def test_breaking_off_leaves_what_there_was(add: Add) -> None:
    """An interrupt while a map is made leaves the old one in place and no other file."""
    make_map(add(groups([30, 30])))
    snapshot = add(groups([30, 30], seed=4, name="new"))
    names = sorted(path.name for path in (snapshot.layout.root / "map").iterdir())
    before = (snapshot.layout.root / "map" / "50000-0.arrow").read_bytes()

    def stop(step: str, done: int, _total: int) -> None:
        if step == "projecting" and done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_map(snapshot, progress=stop)
    assert sorted(path.name for path in (snapshot.layout.root / "map").iterdir()) == names
    assert (snapshot.layout.root / "map" / "50000-0.arrow").read_bytes() == before


def test_a_removed_collection_takes_its_map_along(add: Add) -> None:
    """Removing a collection leaves nothing of its map."""
    snapshot = add(groups([20]))
    make_map(snapshot)
    remove_collection(Layout(snapshot.layout.root))
    assert not snapshot.layout.root.exists()
