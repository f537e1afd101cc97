"""Indexing: incremental, complete in its report, and safe when it is stopped. Real files, a server over a socket."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.api import Client
from pipeline.api.retry import RetryPolicy
from pipeline.embed import Embedder
from pipeline.errors import DimensionMismatch, ModelMismatch, PipelineError, UsageError
from pipeline.ingest import IndexProgress, IndexReport, index_paths
from pipeline.store import Layout, Snapshot
from tests.embed_server import Behaviour, embed_server, vector_of

QUICK = RetryPolicy(attempts=2, base_delay=0.001, max_delay=0.005, total_seconds=5)


class Bench:
    """A folder of documents, a home, a server; `index()` runs as a fresh process would."""

    def __init__(self, folder: Path, url: str, behaviour: Behaviour) -> None:
        self.folder = folder
        self.docs = folder / "docs"
        self.docs.mkdir()
        self.url = url
        self.behaviour = behaviour
        self.layout = Layout.of(folder / "home", "notes")
        self.writes = 0

    def write(self, name: str, text: str) -> Path:
        path = self.docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.writes += 1
        os.utime(path, ns=(10**18, 10**18 + self.writes))
        return path

    def index(self, *paths: Path, model: str = "all-minilm", **options: object) -> IndexReport:
        self.behaviour.requests.clear()
        with Client(self.url, retry=QUICK) as client:
            embedder = Embedder(lambda: client, model, batch_size=4, concurrency=2)
            return index_paths(self.layout, embedder, list(paths) or [self.docs], **options)  # type: ignore[arg-type]

    def snapshot(self) -> Snapshot:
        return Snapshot.open(self.layout)

    def texts(self) -> dict[str, list[str]]:
        """Live passages by file name."""
        snapshot = self.snapshot()
        found: dict[str, list[str]] = {}
        for document in snapshot.documents():
            segment = next(item for item in snapshot.segments if item.id == document.segment)
            rows = range(document.first_row, document.first_row + document.rows)
            found[Path(document.row.path).name] = [passage["text"] for passage in segment.passages(rows)]
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    behaviour = Behaviour()
    with embed_server(behaviour) as url:
        yield Bench(tmp_path, url, behaviour)


def paragraphs(*words: str) -> str:
    """A text whose paragraphs are chunks of their own: each fills more than half of the budget."""
    return "\n\n".join(" ".join(f"{word}{number}" for number in range(40)) for word in words) + "\n"


def test_every_chunk_is_stored_with_its_own_vector(bench: Bench) -> None:
    """What is on disk is the vector that the server gave for exactly that chunk, for every chunk."""
    for number in range(5):
        bench.write(f"{number}.txt", paragraphs(f"a{number}x", f"b{number}x", f"c{number}x"))
    report = bench.index()
    assert report.documents.added == 5
    assert report.chunks.embedded == report.chunks.total > 5
    snapshot = bench.snapshot()
    stored = {row.tobytes() for segment in snapshot.segments for row in segment.vectors}
    sent = {vector_of(text, 384).tobytes() for text in bench.behaviour.texts}
    assert len(stored) == report.chunks.total
    rounded = {np.frombuffer(row, np.float32).round(5).tobytes() for row in stored}
    assert rounded == {np.frombuffer(row, np.float32).round(5).tobytes() for row in sent}


def test_second_run_over_unchanged_files_makes_no_request(bench: Bench) -> None:
    """Nothing changed: no request at all, not even for the model's name."""
    bench.write("a.md", "# A\n\nalpha")
    bench.write("b.md", "# B\n\nbeta")
    bench.index()
    report = bench.index()
    assert bench.behaviour.requests == []
    assert report.documents.unchanged == 2
    assert report.chunks.embedded == 0
    assert report.chunks.total == 2


def test_touched_file_is_read_once_and_not_embedded(bench: Bench) -> None:
    """A new file time with the old content costs one read, then a stat again."""
    path = bench.write("a.md", "# A\n\nalpha")
    bench.index()
    os.utime(path, ns=(10**18, 10**18 + 5_000_000))
    assert bench.index().documents.unchanged == 1
    assert bench.behaviour.requests == []
    row = next(iter(bench.snapshot().documents())).row
    assert row.mtime_ns == 10**18 + 5_000_000


def test_changed_file_embeds_only_changed_chunks(bench: Bench) -> None:
    """Of a long file with one paragraph changed, only that paragraph's chunk goes to the server."""
    words = [f"w{number}q" for number in range(12)]
    bench.write("a.txt", paragraphs(*words))
    before = bench.index()
    words[7] = "w7y"
    bench.write("a.txt", paragraphs(*words))
    bench.behaviour.texts.clear()
    report = bench.index()
    assert report.documents.updated == 1
    assert all("w7y" in text for text in bench.behaviour.texts)
    assert report.chunks.embedded == len(bench.behaviour.texts) < 3
    assert report.chunks.reused == before.chunks.total - report.chunks.embedded
    assert report.chunks.removed == report.chunks.embedded
    assert "w7y0" in " ".join(bench.texts()["a.txt"])
    assert "w7q0" not in " ".join(bench.texts()["a.txt"])


def test_renamed_file_is_not_embedded_again(bench: Bench) -> None:
    """A file under another name gets the vectors that its text already has."""
    path = bench.write("a.txt", paragraphs("alpha", "beta"))
    bench.index()
    path.rename(path.with_name("b.txt"))
    report = bench.index()
    assert (report.documents.added, report.documents.removed) == (1, 1)
    assert list(bench.texts()) == ["b.txt"]
    assert report.chunks.embedded == 0


def test_deleted_file_takes_its_passages_with_it(bench: Bench) -> None:
    """A file that is gone is gone from the collection, and files outside the paths stay."""
    bench.write("in/a.txt", "alpha")
    bench.write("in/b.txt", "beta")
    bench.write("out/c.txt", "gamma")
    bench.index()
    (bench.docs / "in/a.txt").unlink()
    (bench.docs / "out/c.txt").unlink()
    report = bench.index(bench.docs / "in")
    assert report.documents.removed == 1
    assert report.chunks.removed == 1
    assert sorted(bench.texts()) == ["b.txt", "c.txt"]


def test_emptied_folder_is_not_taken_for_deletion(bench: Bench) -> None:
    """A folder without any document is an error and keeps the collection, unless it is asked for."""
    path = bench.write("a.txt", "alpha")
    bench.index()
    path.unlink()
    with pytest.raises(PipelineError, match="no document to index") as caught:
        bench.index()
    assert "--allow-empty" in caught.value.hint
    assert list(bench.texts()) == ["a.txt"]
    assert bench.index(allow_empty=True).documents.removed == 1
    assert bench.texts() == {}


def test_bad_files_are_reported_and_the_others_indexed(bench: Bench) -> None:
    """Binary, empty and undecodable files are failures with a reason; the good ones are in."""
    bench.write("good.md", "# Good\n\nfine")
    bench.write("empty.md", " \n")
    (bench.docs / "binary.md").write_bytes(b"\x00\x01\x02" * 100)
    (bench.docs / "dangling.md").symlink_to(bench.docs / "nowhere.md")
    bench.write("picture.xyz", "not a document")
    report = bench.index()
    assert report.documents.added == 1
    failures = {Path(failure.path).name: failure.error for failure in report.failures}
    assert sorted(failures) == ["binary.md", "dangling.md", "empty.md"]
    assert "empty" in failures["empty.md"]
    assert "binary" in failures["binary.md"]
    assert report.documents.failed == 3
    assert sum(report.skipped.values()) == 1


def test_file_that_can_no_longer_be_read_keeps_its_passages(bench: Bench) -> None:
    """A document that turns unreadable is reported, and what is known of it stays searchable."""
    path = bench.write("a.md", "# A\n\nalpha")
    bench.write("b.md", "# B\n\nbeta")
    bench.index()
    path.write_bytes(b"\x00" * 1000)
    report = bench.index()
    assert report.documents.failed == 1
    assert report.documents.removed == 0
    assert sorted(bench.texts()) == ["a.md", "b.md"]


def test_missing_path_is_refused_before_anything_is_done(bench: Bench) -> None:
    """One wrong path among good ones: nothing is indexed, nothing is created."""
    bench.write("a.md", "alpha")
    with pytest.raises(UsageError, match="nowhere"):
        bench.index(bench.docs, bench.docs / "nowhere")
    assert not bench.layout.root.exists()


def test_poisoned_chunk_is_named_and_its_document_tried_again(bench: Bench) -> None:
    """One bad text fails alone, with path and line; the next run sends only that text again."""
    bench.write("a.txt", paragraphs("good", "poison", "fine"))
    bench.write("b.txt", paragraphs("other"))
    bench.behaviour.poison = {"poison": "500"}
    report = bench.index()
    assert [failure.path.rsplit("/", 1)[-1] for failure in report.failures] == ["a.txt:3"]
    assert (report.documents.added, report.documents.failed) == (1, 1)
    assert "poison0" not in " ".join(bench.texts()["a.txt"])
    bench.behaviour.poison = {}
    bench.behaviour.texts.clear()
    report = bench.index()
    assert report.failures == []
    assert len(bench.behaviour.texts) == 1
    assert "poison0" in " ".join(bench.texts()["a.txt"])


def test_chunk_that_the_server_finds_too_long_is_split(bench: Bench) -> None:
    """Where the estimate was wrong the chunk is halved until it fits; no word is lost, none is cut silently."""
    bench.behaviour.longest = 30
    bench.write("a.txt", paragraphs("alpha", "beta"))
    report = bench.index()
    assert report.failures == []
    pieces = bench.texts()["a.txt"]
    assert all(len(piece.split()) <= 30 for piece in pieces)
    assert " ".join(pieces).split() == paragraphs("alpha", "beta").split()


def test_other_model_is_refused_and_the_collection_untouched(bench: Bench) -> None:
    """Another model, another digest or another dimension never mixes with what is there."""
    bench.write("a.md", "alpha")
    bench.index()
    with pytest.raises(ModelMismatch, match="was built with model 'all-minilm'"):
        bench.index(model="nomic-embed-text")
    bench.write("b.md", "beta")
    bench.behaviour.digest = "e" * 64
    with pytest.raises(ModelMismatch, match="digest eeeeeeeeeeee, was dddddddddddd"):
        bench.index()
    bench.behaviour.dimension = 768
    with pytest.raises(DimensionMismatch):
        bench.index()
    assert list(bench.texts()) == ["a.md"]


def test_what_was_embedded_before_the_server_died_is_kept(bench: Bench) -> None:
    """A server that goes away ends the run with an error; the next run embeds only the rest."""
    for number in range(40):
        bench.write(f"{number:02}.txt", paragraphs(f"n{number}x"))
    bench.behaviour.die_after = 4
    with pytest.raises(PipelineError):
        bench.index()
    kept = bench.snapshot().manifest.live_rows
    assert kept > 0
    bench.behaviour.die_after = None
    bench.behaviour.texts.clear()
    report = bench.index()
    assert report.chunks.total >= 40
    assert len(bench.behaviour.texts) == report.chunks.total - kept
    assert len(bench.texts()) == 40


def test_interrupt_keeps_what_was_embedded(bench: Bench) -> None:
    """Ctrl-C in mid-run: finished documents are committed, none twice, and the next run goes on from there."""
    for number in range(40):
        bench.write(f"{number:02}.txt", paragraphs(f"n{number}x"))
    bench.behaviour.delay = 0.02

    class Interrupting(IndexProgress):
        done = 0

        def chunks_done(self, count: int) -> None:
            self.done += count
            if self.done >= 12:
                self.done = -1000
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bench.index(progress=Interrupting())
    kept = bench.snapshot().manifest.live_rows
    assert kept >= 8
    while bench.behaviour.in_flight:
        time.sleep(0.01)
    bench.behaviour.texts.clear()
    report = bench.index()
    assert report.documents.unchanged + report.documents.added == 40
    assert len(bench.behaviour.texts) == report.chunks.total - kept
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embed-")]


def test_vectors_of_an_unfinished_document_are_kept(bench: Bench) -> None:
    """A document that was cut off half-way is not searchable, and only its missing chunks are embedded later."""
    bench.write("a.txt", paragraphs(*(f"n{number}x" for number in range(40))))
    bench.behaviour.die_after = 4
    with pytest.raises(PipelineError):
        bench.index()
    embedded = len(bench.behaviour.texts)
    assert embedded > 0
    assert bench.texts() == {}
    assert bench.snapshot().manifest.live_rows == 0
    bench.behaviour.die_after = None
    bench.behaviour.texts.clear()
    report = bench.index()
    assert report.documents.added == 1
    assert len(bench.behaviour.texts) == report.chunks.embedded == report.chunks.total - embedded
    assert " ".join(bench.texts()["a.txt"]).split() == (bench.docs / "a.txt").read_text().split()


def test_other_chunk_settings_are_refused(bench: Bench) -> None:
    """A collection is chunked one way: another size is an error with the way out."""
    bench.write("a.md", "alpha")
    bench.index(chunk_tokens=100)
    bench.write("b.md", "beta")
    with pytest.raises(UsageError, match="chunked to 100 tokens, not 50"):
        bench.index(chunk_tokens=50)
    assert bench.index().documents.added == 1
