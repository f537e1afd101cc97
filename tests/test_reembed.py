"""Moving to another model: every passage by value, nothing embedded twice, the old collection until the last step."""

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.api import Client
from pipeline.api.retry import RetryPolicy
from pipeline.chunk.headings import hash_of
from pipeline.embed import Embedder
from pipeline.errors import ApiError, CollectionNotFound, ModelMismatch, PipelineError, UsageError
from pipeline.ingest import IndexReport, index_paths
from pipeline.reembed import ReEmbedReport, drop_move, re_embed, unfinished_move
from pipeline.store import CollectionWriter, Layout, Snapshot, verify_collection
from tests.embed_server import Behaviour, embed_server, vector_of

QUICK = RetryPolicy(attempts=2, base_delay=0.001, max_delay=0.005, total_seconds=5)
NEW = "other"


class Bench:
    """A collection of three files with headings, one of them retired, and a server of the new model."""

    def __init__(self, folder: Path, old_url: str, new_url: str, new: Behaviour) -> None:
        self.docs = folder / "docs"
        self.docs.mkdir()
        self.layout = Layout.of(folder, "notes")
        self.old_url, self.new_url, self.new = old_url, new_url, new
        for name in ("a", "b", "c"):
            sections = [
                f"## {name}{part}\n\n{' '.join(f'{name}{part}w{at}' for at in range(60))}\n" for part in range(9)
            ]
            (self.docs / f"{name}.md").write_text(f"# Title {name}\n\n" + "\n".join(sections), encoding="utf-8")
        self.index()
        (self.docs / "c.md").unlink()
        self.index()
        self.before = self.content()

    def index(self, model: str = "all-minilm") -> IndexReport:
        url = self.old_url if model == "all-minilm" else self.new_url
        with Client(url, retry=QUICK) as client:
            return index_paths(self.layout, Embedder(lambda: client, model, batch_size=4, concurrency=2), [self.docs])

    def move(self, model: str = NEW) -> ReEmbedReport:
        try:
            with Client(self.new_url, retry=QUICK) as client:
                return re_embed(self.layout, Embedder(lambda: client, model, batch_size=4, concurrency=2))
        finally:
            for thread in threading.enumerate():
                if thread.name.startswith("embed-"):
                    thread.join(timeout=5)

    def content(self) -> dict[str, list[tuple[str, bytes]]]:
        """Document rows with the text and the vector of every passage."""
        snapshot = Snapshot.open(self.layout)
        found: dict[str, list[tuple[str, bytes]]] = {}
        for document in snapshot.documents():
            segment = snapshot.segment_of(document)
            rows = range(document.first_row, document.first_row + document.rows)
            found[str(document.row)] = [
                (str(passage), segment.vectors[row].tobytes())
                for row, passage in zip(rows, segment.passages(rows), strict=True)
            ]
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    new = Behaviour(model=NEW, dimension=16, digest="e" * 64)
    with embed_server(Behaviour()) as old_url, embed_server(new) as new_url:
        yield Bench(tmp_path, old_url, new_url, new)


def test_every_passage_gets_the_vector_of_what_was_embedded(bench: Bench) -> None:
    """Documents and passages stay as they are; vectors are the new model's, of the text with its headings."""
    report = bench.move()
    snapshot = Snapshot.open(bench.layout)
    assert (snapshot.manifest.model.name, snapshot.manifest.model.dimension) == (NEW, 16)
    after = bench.content()
    passages = {row: [text for text, _ in pairs] for row, pairs in after.items()}
    assert passages == {row: [text for text, _ in pairs] for row, pairs in bench.before.items()}
    assert report.embedded == len(bench.new.texts) == sum(len(pairs) for pairs in after.values())
    sent = {vector_of(text, 16).tobytes(): text for text in bench.new.texts}
    for segment in snapshot.segments:
        for row, passage in enumerate(segment.passages(range(segment.record.rows))):
            assert hash_of(sent[segment.vectors[row].tobytes()]) == passage["content_hash"]
    assert sum(text.startswith("Title a > a3\n") for text in bench.new.texts) >= 1
    assert verify_collection(bench.layout).problems == ()
    assert not list(bench.layout.staging.root.glob("*"))


def test_indexing_goes_on_with_the_new_model(bench: Bench) -> None:
    """Unchanged files cost nothing after a move, the new model is the collection's, and the old one is refused."""
    bench.move()
    bench.new.texts.clear()
    report = bench.index(NEW)
    assert (report.documents.unchanged, report.chunks.embedded) == (2, 0)
    assert bench.new.texts == []
    with pytest.raises(ModelMismatch, match="'other'"):
        bench.index()
    with pytest.raises(UsageError, match="already"):
        bench.move()


def test_move_that_fails_leaves_the_collection_and_goes_on_where_it_was(bench: Bench) -> None:
    """The server dies midway: the old collection is whole, and the next run embeds only what is missing."""
    bench.new.die_after = 2
    with pytest.raises(ApiError):
        bench.move()
    assert bench.content() == bench.before
    first = list(bench.new.texts)
    bench.new.die_after = None
    report = bench.move()
    assert 0 < report.reused < report.embedded + report.reused
    assert report.embedded + report.reused == sum(len(pairs) for pairs in bench.before.values())
    kept = Counter(first) & Counter(bench.new.texts[len(first) :])
    assert kept.total() + report.reused <= len(first) + 4 * 2
    assert Snapshot.open(bench.layout).manifest.model.name == NEW
    assert verify_collection(bench.layout).problems == ()


def test_unfinished_move_is_known_and_can_be_dropped(bench: Bench) -> None:
    """How far it came is known until it is whole or dropped; dropping leaves the collection as it was."""
    snapshot = Snapshot.open(bench.layout)
    assert unfinished_move(snapshot) is None
    with pytest.raises(UsageError, match="is not being moved"):
        drop_move(bench.layout)
    bench.new.die_after = 2
    with pytest.raises(ApiError):
        bench.move()
    move = unfinished_move(snapshot)
    assert move is not None
    assert (move.model, move.dimension, move.of) == (NEW, 16, snapshot.manifest.live_rows)
    assert 0 < move.chunks < move.of
    drop_move(bench.layout)
    assert unfinished_move(snapshot) is None
    assert bench.content() == bench.before
    bench.new.die_after = None
    assert bench.move().reused == 0
    assert unfinished_move(Snapshot.open(bench.layout)) is None


def test_other_prefixes_are_a_move(bench: Bench) -> None:
    """A collection can be moved to the same model with another prefix, which is what texts are then sent with."""
    bench.move()
    bench.new.texts.clear()
    with Client(bench.new_url, retry=QUICK) as client:
        embedder = Embedder(
            lambda: client, NEW, batch_size=4, concurrency=2, document_prefix="doc: ", query_prefix="q: "
        )
        re_embed(bench.layout, embedder)
    assert bench.new.texts
    assert all(text.startswith("doc: ") for text in bench.new.texts)
    model = Snapshot.open(bench.layout).manifest.model
    assert (model.query_prefix, model.document_prefix) == ("q: ", "doc: ")


def test_text_that_cannot_be_embedded_ends_the_move(bench: Bench) -> None:
    """Nothing is left out of a collection by moving it: the place is named, and the rest is kept for the next try."""
    bench.new.poison["b7w"] = "400"
    with pytest.raises(PipelineError, match=r"b\.md:\d+: .*stays with the model"):
        bench.move()
    assert bench.content() == bench.before
    bench.new.poison.clear()
    assert bench.move().reused > 0


def test_changes_between_two_attempts_are_taken_in(bench: Bench) -> None:
    """What was staged of a document that has changed or gone since does not come back."""
    bench.new.poison["b7w"] = "400"
    with pytest.raises(PipelineError):
        bench.move()
    (bench.docs / "a.md").write_text("# New\n\nwords of another kind\n", encoding="utf-8")
    bench.index()
    before = bench.content()
    bench.new.poison.clear()
    bench.move()
    texts = {row: [text for text, _ in pairs] for row, pairs in bench.content().items()}
    assert texts == {row: [text for text, _ in pairs] for row, pairs in before.items()}


def test_staging_for_a_third_model_is_begun_anew(bench: Bench) -> None:
    """A move to one model does not use what was staged for another."""
    bench.new.die_after = 2
    with pytest.raises(ApiError):
        bench.move()
    bench.new.die_after = None
    bench.new.model, bench.new.digest, bench.new.dimension = "third", "f" * 64, 8
    report = bench.move("third")
    assert (report.reused, report.dimension) == (0, 8)
    assert Snapshot.open(bench.layout).segments[0].vectors.shape[1] == 8


def test_staging_of_a_finished_move_goes_with_the_next_writer(bench: Bench) -> None:
    """A move that was killed after its last commit leaves files that are in the collection already."""
    bench.new.poison["b7w"] = "400"
    with pytest.raises(PipelineError):
        bench.move()
    with CollectionWriter(bench.layout):
        pass
    assert bench.layout.staging.generations(), "a move that is not finished can go on"
    bench.new.poison.clear()
    kept = bench.docs.parent / "kept"
    shutil.copytree(bench.layout.staging.root, kept)
    bench.move()
    shutil.copytree(kept, bench.layout.staging.root, dirs_exist_ok=True)
    with CollectionWriter(bench.layout):
        pass
    assert not bench.layout.staging.root.exists()


def test_reader_sees_the_old_model_or_the_new_one(bench: Bench) -> None:
    """A snapshot from before the move goes on showing the old vectors."""
    reader = Snapshot.open(bench.layout)
    old = [np.array(segment.vectors) for segment in reader.segments]
    bench.move()
    for segment, vectors in zip(reader.segments, old, strict=True):
        np.testing.assert_array_equal(segment.vectors, vectors)
        assert segment.passages([0])[0]["text"]


def test_collection_that_is_not_there_cannot_be_moved(bench: Bench) -> None:
    """It is an error, and leaves no empty folder."""
    bench.layout = Layout(bench.layout.root.parent / "missing")
    with pytest.raises(CollectionNotFound, match="'missing'"):
        bench.move()
    assert not bench.layout.root.exists()
