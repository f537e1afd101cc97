"""Indexing: incremental, complete in its report, and safe when it is stopped. Real files, a server over a socket."""

import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from pipeline.api import Client
from pipeline.api.retry import RetryPolicy
from pipeline.embed import Embedder
from pipeline.errors import DimensionMismatch, ModelMismatch, PipelineError, StorageUnwritable, UsageError
from pipeline.ingest import IndexProgress, IndexReport, index_paths, pending
from pipeline.store import Layout, Snapshot
from pipeline.types import Document
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
            try:
                return index_paths(self.layout, embedder, list(paths) or [self.docs], **options)  # type: ignore[arg-type]
            finally:
                # A run that fails does not wait for its requests: let them end before their sockets are closed.
                for thread in threading.enumerate():
                    if thread.name.startswith("embed-"):
                        thread.join(timeout=5)
                        assert not thread.is_alive()

    def snapshot(self) -> Snapshot:
        return Snapshot.open(self.layout)

    def texts(self) -> dict[str, list[str]]:
        """Live passages by file name; every live row is one of a live document, and a path has one document."""
        snapshot = self.snapshot()
        found: dict[str, list[str]] = {}
        documents = list(snapshot.documents())
        assert len({document.row.path for document in documents}) == len(documents)
        for document in documents:
            rows = range(document.first_row, document.first_row + document.rows)
            passages = snapshot.segment_of(document).passages(rows)
            found[Path(document.row.path).name] = [passage["text"] for passage in passages]
        live = sum(int(segment.live_mask.sum()) for segment in snapshot.segments)
        assert live == snapshot.manifest.live_rows == sum(map(len, found.values()))
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    behaviour = Behaviour()
    with embed_server(behaviour) as url:
        yield Bench(tmp_path, url, behaviour)


def paragraphs(*words: str) -> str:
    """A text whose paragraphs are chunks of their own: each fills more than half of the budget."""
    return "\n\n".join(" ".join(f"{word}{number}" for number in range(70)) for word in words) + "\n"


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


def test_restored_backup_is_seen_as_the_change_that_it_is(bench: Bench) -> None:
    """A file put back with its old content, size and time replaces what came after it, though it was touched once."""
    path = bench.write("a.txt", "alpha")
    bench.index()
    os.utime(path, ns=(10**18, 10**18 + 5_000_000))
    bench.index()
    backup = Path(shutil.copy2(path, bench.folder / "backup.txt"))
    bench.write("a.txt", "gamma")
    bench.index()
    shutil.copy2(backup, path)
    report = bench.index()
    assert report.documents.updated == 1
    assert bench.texts() == {"a.txt": ["alpha"]}


def test_file_without_a_time_is_read_every_time(bench: Bench) -> None:
    """A time of 0 (an archive unpacked, an image built to be reproducible) says nothing about the content."""
    path = bench.write("a.txt", "alpha")
    os.utime(path, ns=(0, 0))
    bench.index()
    assert bench.index().documents.unchanged == 1
    path.write_text("gamma")
    os.utime(path, ns=(0, 0))
    assert bench.index().documents.updated == 1
    assert bench.texts() == {"a.txt": ["gamma"]}


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


def test_reason_is_given_where_nothing_can_be_read(bench: Bench) -> None:
    """A path that is no document says what it is."""
    (bench.docs / "link.md").symlink_to("nowhere")
    with pytest.raises(PipelineError, match=r"no document to index.*link\.md: .*nowhere"):
        bench.index()


def test_folder_that_is_gone_takes_its_documents_when_asked(bench: Bench) -> None:
    """A path that no longer exists is a mistake, unless it is said that what was there may go."""
    bench.write("in/a.txt", "alpha")
    bench.write("out/b.txt", "beta")
    bench.index()
    shutil.rmtree(bench.docs / "in")
    with pytest.raises(UsageError, match="does not exist") as caught:
        bench.index(bench.docs / "in")
    assert "--allow-empty" in caught.value.hint
    assert bench.index(bench.docs / "in", allow_empty=True).documents.removed == 1
    assert list(bench.texts()) == ["b.txt"]


def test_bad_files_are_reported_and_the_others_indexed(bench: Bench) -> None:
    """A binary file is a failure with its reason; what is empty or a dead link is only counted, unless asked."""
    bench.write("good.md", "# Good\n\nfine")
    bench.write("empty.md", " \n")
    (bench.docs / "binary.md").write_bytes(b"\x00\x01\x02" * 100)
    (bench.docs / "dangling.md").symlink_to(bench.docs / "nowhere.md")
    bench.write("__init__.py", "")
    bench.write("picture.xyz", "not a document")
    report = bench.index()
    assert (report.documents.added, report.documents.failed) == (1, 1)
    assert [(Path(each.path).name, each.error) for each in report.failures] == [("binary.md", "is a binary file")]
    assert report.skipped == {"empty": 2, "link that leads nowhere": 1, "unsupported format .xyz": 1}
    report = bench.index(strict=True)
    assert report.documents.failed == 4
    assert {Path(each.path).name: each.error for each in report.failures} == {
        "__init__.py": "empty",
        "binary.md": "is a binary file",
        "dangling.md": "link that leads nowhere",
        "empty.md": "empty",
    }
    assert report.skipped == {"unsupported format .xyz": 1}


def test_file_that_cannot_be_opened_keeps_its_passages(bench: Bench) -> None:
    """A document that the system does not let be read is reported, and what is known of it stays searchable."""
    path = bench.write("a.md", "# A\n\nalpha")
    bench.write("b.md", "# B\n\nbeta")
    bench.index()
    path.unlink()
    path.symlink_to(bench.docs / "nowhere.md")
    report = bench.index()
    assert (report.documents.failed, report.documents.removed, report.chunks.removed) == (1, 0, 0)
    assert sorted(bench.texts()) == ["a.md", "b.md"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\0" * 1000, "binary"), (b"\xff\xfe\x00\xd8", "encoding"), (b"x" * (64 * 2**20 + 1), "larger")],
    ids=["binary", "undecodable", "too large"],
)
def test_file_that_was_read_and_is_no_document_loses_its_passages(bench: Bench, content: bytes, reason: str) -> None:
    """What the file no longer says is no longer found; the failure is reported, in the next run too."""
    path = bench.write("a.md", "# A\n\nalpha")
    bench.write("b.md", "# B\n\nbeta")
    bench.index()
    path.write_bytes(content)
    for removed in (1, 0):
        report = bench.index()
        assert (report.documents.failed, report.documents.removed, report.chunks.removed) == (1, 0, removed)
        assert reason in report.failures[0].error
        assert sorted(bench.texts()) == ["b.md"]
    bench.write("a.md", "# A\n\nalpha")
    report = bench.index()
    assert (report.documents.added, report.chunks.embedded) == (1, 0)
    assert sorted(bench.texts()) == ["a.md", "b.md"]


def test_file_that_became_empty_is_removed(bench: Bench) -> None:
    """Its passages are no longer found, which is no failure."""
    path = bench.write("a.md", "# A\n\nalpha")
    bench.write("b.md", "# B\n\nbeta")
    bench.index()
    path.write_bytes(b"")
    report = bench.index()
    assert (report.documents.removed, report.documents.failed, report.skipped) == (1, 0, {"empty": 1})
    assert sorted(bench.texts()) == ["b.md"]
    report = bench.index()
    assert (report.documents.removed, report.documents.failed, report.skipped) == (0, 0, {"empty": 1})


GERMAN = "Die Schlüssel werden vom Dienst getauscht, und der alte bleibt noch eine Woche gültig, wenn er nicht stört."


@pytest.mark.parametrize(("language", "expected"), [(None, "de"), ("none", None), ("pt-BR", "pt-BR")])
def test_language_is_a_setting_of_the_collection(bench: Bench, language: str | None, expected: str | None) -> None:
    """Documents that state none get it; it is recorded, and another one is refused."""
    bench.write("a.txt", f"{GERMAN} {GERMAN}")
    bench.index(language=language)
    (document,) = bench.snapshot().documents()
    assert document.row.metadata.get("language") == expected
    with pytest.raises(UsageError, match="is read with the language"):
        bench.index(language="fr")
    bench.write("b.txt", f"{GERMAN} Und noch mehr davon. {GERMAN}")
    bench.index()
    assert {each.row.metadata.get("language") for each in bench.snapshot().documents()} == {expected}


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


def test_document_is_not_whole_while_a_chunk_is_being_split(bench: Bench) -> None:
    """A server that dies when a chunk that was too long comes back in halves leaves the document to be done again."""
    bench.behaviour.longest = 30
    bench.behaviour.die_after = 1
    bench.write("a.txt", paragraphs("alpha"))
    with pytest.raises(PipelineError):
        bench.index()
    assert bench.texts() == {}
    bench.behaviour.die_after = None
    report = bench.index()
    assert (report.documents.added, report.documents.unchanged) == (1, 0)
    assert " ".join(bench.texts()["a.txt"]).split() == paragraphs("alpha").split()


def test_chunk_too_long_of_a_file_that_has_changed_is_reported(bench: Bench) -> None:
    """It cannot be halved as it was any more: its place is named, and the next run takes the file as it is by then."""
    bench.behaviour.longest = 30
    path = bench.write("a.txt", paragraphs("alpha"))

    class Changes(IndexProgress):
        def chunks_planned(self, count: int) -> None:
            path.write_text("short by now\n")

    report = bench.index(progress=Changes())
    assert [failure.path for failure in report.failures] == [f"{path}:1"]
    assert "exceeds the context length" in report.failures[0].error
    assert bench.texts() == {"a.txt": []}
    assert bench.index().failures == []
    assert bench.texts() == {"a.txt": ["short by now"]}


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


WITHIN_A_STORE = ("ingest/storing.py", "ingest/pending.py", "store/builder.py", "store/segment.py")


class InterruptAtLine:
    """Raises SIGINT at the n-th of the lines that are run by and below `Storing.store`, in a `with` block."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.lines: set[tuple[str, int]] = set()

    def __enter__(self) -> "InterruptAtLine":
        self.previous = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.previous)

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "call":
            if not frame.f_code.co_filename.endswith(WITHIN_A_STORE):
                return None
            stack: FrameType | None = frame
            while stack is not None and stack.f_code.co_name != "store":
                stack = stack.f_back
            return self.trace if stack is not None else None
        place = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and place not in self.lines:
            self.lines.add(place)
            if len(self.lines) == self.line:
                signal.raise_signal(signal.SIGINT)
        return self.trace


def test_interrupt_at_any_line_of_storing_leaves_documents_whole(bench: Bench) -> None:
    """Ctrl-C while a changed document is stored: its old passages are there or its new ones, never both or half."""
    old = paragraphs("a0", "b0")
    bench.write("a.txt", old)
    bench.index()
    line, interrupted = 0, 0
    while True:
        line += 1
        new = paragraphs(f"a{line}x", f"b{line}x")
        bench.write("a.txt", new)
        with InterruptAtLine(line) as tracer, contextlib.suppress(KeyboardInterrupt):
            bench.index()
        now = " ".join(bench.texts()["a.txt"])
        assert now.split() in (old.split(), new.split())
        if len(tracer.lines) < line:
            break
        old = now
        interrupted += 1
    assert now.split() == new.split()
    assert interrupted > 20


class MostHeld(IndexProgress):
    """Counts the documents that are in memory, and the commits, while files are walked."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.files = 0
        self.documents = 0
        self.commits: set[int] = set()

    def file_done(self) -> None:
        self.files += 1
        if self.files % 20 == 0:
            self.documents = max(self.documents, sum(isinstance(item, Document) for item in gc.get_objects()))
            self.commits.update(self.layout.generations()[:1])


def test_documents_that_need_no_embedding_are_not_held_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renamed folder of known documents behind one new file is stored and committed on the way, not piled up."""
    for number in range(400):
        bench.write(f"old/{number:03}.txt", f"text{number}")
    bench.index()
    (bench.docs / "old").rename(bench.docs / "new")
    bench.write("first.txt", "unheard of")
    monkeypatch.setattr(pending, "COMMIT_ROWS", 50)
    progress = MostHeld(bench.layout)
    report = bench.index(progress=progress)
    assert progress.documents < 40
    assert len(progress.commits) > 3
    assert (report.documents.added, report.documents.removed) == (401, 400)
    assert (report.chunks.embedded, report.chunks.reused, report.chunks.removed) == (1, 400, 400)
    assert bench.texts() == {"first.txt": ["unheard of"]} | {f"{n:03}.txt": [f"text{n}"] for n in range(400)}


def test_touched_and_removed_documents_are_committed_on_the_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither new file times nor removals pile up in memory until the end of a run."""
    monkeypatch.setattr(pending, "COMMIT_ROWS", 10)
    paths = [bench.write(f"{number:02}.txt", f"text{number}") for number in range(40)]
    bench.index()
    before = bench.snapshot().manifest.generation
    for path in paths:
        os.utime(path, ns=(10**18, 10**18 + 5_000_000))
    assert bench.index().documents.unchanged == 40
    between = bench.snapshot().manifest.generation
    assert between - before == 4
    for path in paths[1:]:
        path.unlink()
    assert bench.index().documents.removed == 39
    assert bench.snapshot().manifest.generation - between == 4
    assert bench.texts() == {"00.txt": ["text0"]}


def test_commit_that_fails_is_not_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what failed first; nothing of the commit stays behind, and the next run does the work."""
    monkeypatch.setattr(pending, "COMMIT_ROWS", 4)
    for number in range(12):
        bench.write(f"{number:02}.txt", f"text{number}")
    obstacle = bench.layout.root / ".manifest-00000002.json.tmp"
    obstacle.mkdir(parents=True)
    with pytest.raises(StorageUnwritable, match=r"manifest-00000002\.json: Is a directory"):
        bench.index()
    assert list(bench.layout.segments.iterdir()) == []
    assert bench.texts() == {}
    obstacle.rmdir()
    assert bench.index().documents.added == 12
    assert len(bench.texts()) == 12


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; tests that need one are skipped where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [shutil.which("mount") or "false", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_full_disk_keeps_what_was_committed(bench: Bench, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up ends the run with that reason; with more space the next run goes on from there."""
    monkeypatch.setattr(pending, "COMMIT_ROWS", 8)
    bench.layout = Layout.of(small_disk, "notes")
    for number in range(200):
        bench.write(f"{number:03}.txt", f"text{number}")
    with pytest.raises(StorageUnwritable, match="No space left on device"):
        bench.index()
    kept = len(bench.texts())
    assert kept > 0
    assert len(list(bench.layout.segments.iterdir())) == len(bench.snapshot().segments)
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    report = bench.index()
    assert (report.documents.unchanged, report.documents.added) == (kept, 200 - kept)
    assert len(bench.texts()) == 200


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
    assert len(bench.behaviour.texts) == report.chunks.embedded
    # The reply to the other worker may have been under way when the server died.
    assert report.chunks.embedded in (report.chunks.total - embedded, report.chunks.total - embedded + 4)
    assert " ".join(bench.texts()["a.txt"]).split() == (bench.docs / "a.txt").read_text().split()


def test_other_chunk_settings_are_refused(bench: Bench) -> None:
    """A collection is chunked one way: another size is an error with the way out."""
    bench.write("a.md", "alpha")
    with pytest.raises(UsageError, match="5000 tokens do not fit: 'all-minilm' takes 254"):
        bench.index(chunk_tokens=5000)
    bench.index(chunk_tokens=100)
    bench.write("b.md", "beta")
    with pytest.raises(UsageError, match="chunked to 100 tokens, not 50"):
        bench.index(chunk_tokens=50)
    (bench.docs / "b.md").unlink()
    with pytest.raises(UsageError, match="chunked to 100 tokens, not 50"):
        bench.index(chunk_tokens=50)
    bench.write("b.md", "beta")
    assert bench.index().documents.added == 1
