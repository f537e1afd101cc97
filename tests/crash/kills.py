"""Kills commands at random moments while a reader reads, and compares what is on disk with what has to be.

In: a `Campaign` names the command, how the ground is prepared for it, and what it may change. Out: a `Tally` of the
kills; an AssertionError where something was lost, half done, or embedded again.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.embed.embedder import SPARE_WORKERS
from pipeline.embed.ordered import WINDOW_FACTOR
from pipeline.store import Layout, Snapshot, verify_collection
from tests.crash.commands import BATCH, COMMIT_ROWS, CONCURRENCY, ROOT, THREADS, Commands
from tests.crash.corpus import hash_of, stored_hashes, versions_in, write_document
from tests.crash.server import MODELS, Seen, crash_server

MOST_CHUNKS = 8
"""Of a document of the corpus."""

WINDOW = BATCH * (CONCURRENCY + SPARE_WORKERS) * WINDOW_FACTOR
IN_FLIGHT = COMMIT_ROWS + MOST_CHUNKS + WINDOW + MOST_CHUNKS
"""Texts that a kill may cost at most.

Those of a commit that is being made, which a document may have made larger, those in the window of requests, and those
of a document that is not whole yet.
"""

NAMES = [f"doc{number:02}" for number in range(40)]
POLL_SECONDS = 0.0005
LONGEST_RUN = 120.0


@dataclass
class Tally:
    """`lost` counts texts that were embedded and not committed before a kill, `most_lost` those of the worst one."""

    kills: int = 0
    finished: int = 0
    commits_seen: int = 0
    lost: int = 0
    most_lost: int = 0
    moments: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class State:
    """What is committed: the model, the version of each document, and the texts that have a vector."""

    generation: int
    model: str
    versions: dict[str, int]
    hashes: set[bytes]


class Site:
    """A home, a corpus, a server, and the process that runs commands on them."""

    def __init__(self, folder: Path, url: str, seen: Seen, commands: Commands, seed: int) -> None:
        self.folder = folder
        self.docs = folder / "docs"
        self.docs.mkdir()
        self.home = folder / "home"
        self.layout = Layout.of(self.home, "notes")
        self.url = url
        self.seen = seen
        self.commands = commands
        self.random = random.Random(seed)
        self.corpus: dict[str, int] = {}
        self.newest = dict.fromkeys(NAMES, -1)

    def change_corpus(self) -> None:
        """Some documents are written, some changed, some removed; versions only go up."""
        for name in NAMES:
            chance = self.random.random()
            if chance < 0.4 or not self.corpus:
                self.newest[name] += 1
                self.corpus[name] = self.newest[name]
                write_document(self.docs, name, self.newest[name])
            elif chance < 0.5 and name in self.corpus and len(self.corpus) > 1:
                del self.corpus[name]
                (self.docs / f"{name}.md").unlink()

    def index_arguments(self, model: str) -> list[str | Path]:
        return ["index", self.docs, *self.server_arguments(model), "-c", "notes", "--chunk-tokens", "64"]

    def server_arguments(self, model: str) -> list[str | Path]:
        return ["--home", self.home, "--host", self.url, "--model", model]

    def state(self) -> State | None:
        """What is on disk, once all of it has been compared; None before the first commit."""
        if not self.layout.generations():
            return None
        snapshot = Snapshot.open(self.layout)
        return State(
            generation=snapshot.manifest.generation,
            model=snapshot.manifest.model.name,
            versions=versions_in(snapshot),
            hashes=stored_hashes(snapshot),
        )


class Campaign:
    """Index: the corpus changes once a run has come to its end, and every run goes towards it."""

    model = next(iter(MODELS))
    moments = ("time", "request", "commit", "commit")
    """What is waited for before a kill, each as likely as the others."""

    def prepare(self, site: Site) -> None:
        """Makes work for the next runs, after one has finished."""
        site.change_corpus()

    def arguments(self, site: Site) -> list[str | Path]:
        return site.index_arguments(self.model)

    def is_finished(self, status: int, before: State | None) -> bool:
        """Whether a run that ended with this status had come to its end."""
        return status == 0

    def check_step(self, site: Site, before: State | None, after: State | None) -> None:
        """What a run that was killed may have changed: a document is as it was or as it is to be."""
        old = before.versions if before else {}
        new = after.versions if after else {}
        for name in old.keys() | new.keys():
            allowed = {old.get(name), site.corpus.get(name)}
            assert new.get(name) in allowed, f"{name} is at {new.get(name)}, not one of {allowed}"

    def check_end(self, site: Site, after: State | None) -> None:
        """What a run that has finished must have reached."""
        assert after is not None
        assert after.versions == site.corpus

    def check_requests(self, site: Site, before: State | None, after: State | None) -> int:
        """Nothing is embedded that had been committed. Gives the number of texts whose vectors are lost now."""
        asked = Counter(hash_of(text) for _, text in site.seen.texts)
        twice = asked.keys() & (before.hashes if before else set())
        assert not twice, f"{len(twice)} texts were embedded again though they had been committed"
        assert max(asked.values(), default=1) == 1, "a text was embedded twice in one run"
        lost = len(asked.keys() - (after.hashes if after else set()))
        assert lost <= IN_FLIGHT, f"{lost} texts are lost with one kill, at most {IN_FLIGHT} were in flight"
        return lost


class OptimizeCampaign(Campaign):
    """Optimize: whatever it does to files, the collection says what it said, and no model is asked."""

    moments = ("time", "commit")

    def prepare(self, site: Site) -> None:
        """Small segments with dead rows, from the commits of another run of indexing."""
        site.change_corpus()
        site.commands.run(*site.index_arguments(self.model))

    def arguments(self, site: Site) -> list[str | Path]:
        return ["collections", "optimize", "notes", "--home", site.home]

    def check_step(self, site: Site, before: State | None, after: State | None) -> None:
        assert before is not None
        assert after is not None
        assert (after.versions, after.model) == (before.versions, before.model)
        assert after.versions == site.corpus

    def check_end(self, site: Site, after: State | None) -> None:
        assert after is not None
        assert after.versions == site.corpus
        records = Snapshot.open(site.layout).manifest.segments
        assert len(records) == 1
        assert records[0].deleted_rows == 0

    def check_requests(self, site: Site, before: State | None, after: State | None) -> int:
        assert site.seen.requests == 0
        return 0


class ReEmbedCampaign(Campaign):
    """Re-embed, to and fro between two models: all of the old one's vectors or all of the new one's."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.kills_of_move = 0

    def prepare(self, site: Site) -> None:
        """Another state of the corpus, under the model that it had last; then a move to the other one is to do."""
        self.asked.clear()
        self.kills_of_move = 0
        site.change_corpus()
        site.commands.run(*site.index_arguments(self.model))
        self.model = next(name for name in MODELS if name != self.model)

    def arguments(self, site: Site) -> list[str | Path]:
        return ["collections", "re-embed", "notes", *site.server_arguments(self.model)]

    def is_finished(self, status: int, before: State | None) -> bool:
        """A run that finds the move done, by one that was killed after it, says so and does nothing."""
        return status == 0 or (status == 2 and before is not None and before.model == self.model)

    def check_step(self, site: Site, before: State | None, after: State | None) -> None:
        assert before is not None
        assert after is not None
        assert after.versions == before.versions == site.corpus
        assert after.model in MODELS

    def check_end(self, site: Site, after: State | None) -> None:
        assert after is not None
        assert (after.versions, after.model) == (site.corpus, self.model)

    def check_requests(self, site: Site, before: State | None, after: State | None) -> int:
        """A move may embed a text again only where a kill has cost its vector."""
        asked = Counter(text for model, text in site.seen.texts if model == self.model)
        assert len(asked) == len({text for _, text in site.seen.texts}), "another model was asked"
        assert max(asked.values(), default=1) == 1, "a text was embedded twice in one run"
        again = sum(1 for text in asked if self.asked[text])
        self.asked += asked
        assert again <= IN_FLIGHT * self.kills_of_move, f"{again} texts again after {self.kills_of_move} kills"
        self.kills_of_move += 1
        return again


@dataclass
class ReaderProcess:
    """The other end of `tests.crash.reader`: an error that it saw is one here."""

    process: subprocess.Popen[str]

    def require_no_error(self) -> None:
        """Ends the test as soon as the reader has seen what must not be."""
        if self.process.poll() is not None:
            self.end()

    def end(self) -> dict[str, int]:
        """What it did, once it has been told to end."""
        out, _ = self.process.communicate("", timeout=120)
        done = json.loads(out)
        assert not done["error"], done["error"]
        return done


def kill_many(site: Site, campaign: Campaign, reader: ReaderProcess, kills: int, log: Callable[[str], None]) -> Tally:
    """Runs the campaign's command again and again, until so many of its runs have been killed."""
    tally = Tally()
    campaign.prepare(site)
    before = site.state()
    usual = 0.3
    while tally.kills < kills:
        site.seen.clear()
        moment, wait = _moment(site, campaign.moments, usual)
        began = time.monotonic()
        process = site.commands.start(*campaign.arguments(site))
        while not site.commands.ended() and not wait():
            time.sleep(POLL_SECONDS)
            assert time.monotonic() - began < LONGEST_RUN, "a run does not end"
        if not site.commands.ended():
            os.kill(process, signal.SIGKILL)
        status = site.commands.status()
        finished = campaign.is_finished(status, before)
        if not finished:
            assert status == -signal.SIGKILL, f"{moment}: {status}\n{site.commands.output.read_text()}"
        after = site.state()
        reader.require_no_error()
        log(
            f"{tally.kills}: {moment}: {status} after {time.monotonic() - began:.3f} s: {_shown(before)} {_shown(after)}"
        )
        campaign.check_step(site, before, after)
        lost = campaign.check_requests(site, before, after)
        assert before is None or (after is not None and after.generation >= before.generation)
        tally.commits_seen += (after.generation if after else 0) - (before.generation if before else 0)
        if finished:
            usual = 0.7 * usual + 0.3 * (time.monotonic() - began)
            tally.finished += 1
            campaign.check_end(site, after)
            campaign.prepare(site)
            before = site.state()
        else:
            tally.kills += 1
            tally.moments[moment.split(" ")[0]] += 1
            tally.lost += lost
            tally.most_lost = max(tally.most_lost, lost)
            before = after
    site.commands.start(*campaign.arguments(site))
    assert campaign.is_finished(site.commands.status(), before), site.commands.output.read_text()
    campaign.check_end(site, site.state())
    return tally


def _moment(site: Site, moments: Sequence[str], usual: float) -> tuple[str, Callable[[], bool]]:
    """When to kill: by the clock, at a request, or while something is being committed; and how to tell that it is so."""
    kind = site.random.choice(moments)
    if kind == "time":
        end = time.monotonic() + site.random.uniform(0, usual * 1.1)
        return "time", lambda: time.monotonic() >= end
    pause = site.random.choice([0.0, 0.0, site.random.uniform(0, 0.02)])
    if kind == "request":
        number = site.random.randint(1, 20)
        return f"request {number} {pause:.4f}", _paused(lambda: site.seen.requests >= number, pause)
    number = site.random.randint(1, 12)
    return f"commit {number} {pause:.4f}", _paused(_Changes(site.layout, number), pause)


class _Changes:
    """True once the collection's folders have been seen to change so many times."""

    def __init__(self, layout: Layout, number: int) -> None:
        self.folders = (layout.root, layout.segments)
        self.left = number
        self.last = self.look()

    def look(self) -> list[int]:
        return [folder.stat().st_mtime_ns if folder.exists() else 0 for folder in self.folders]

    def __call__(self) -> bool:
        now = self.look()
        self.left -= now != self.last
        self.last = now
        return self.left <= 0


def _paused(happened: Callable[[], bool], pause: float) -> Callable[[], bool]:
    since: list[float] = []

    def wait() -> bool:
        if not since and happened():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= pause

    return wait


def _shown(state: State | None) -> str:
    return f"generation {state.generation} with {len(state.versions)} documents" if state else "nothing"


@contextmanager
def site_at(folder: Path, seed: int) -> Iterator[Site]:
    """A site with its server and its process for commands."""
    seen = Seen(delay=0.001)
    with crash_server(seen) as url, Commands(folder / "output.txt") as commands:
        yield Site(folder, url, seen, commands, seed)


@contextmanager
def reader_on(site: Site) -> Iterator[ReaderProcess]:
    """A process that reads all the time."""
    with crash_server(Seen()) as url:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.reader", str(site.home), "notes", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **THREADS},
            text=True,
        )

        try:
            yield ReaderProcess(process)
        finally:
            process.kill()
            process.wait()


def contents(layout: Layout) -> dict[str, tuple[object, ...]]:
    """All that is stored of each live document, but for where in the collection it is."""
    snapshot = Snapshot.open(layout)
    found: dict[str, tuple[object, ...]] = {}
    for document in snapshot.documents():
        segment = snapshot.segment_of(document)
        rows = range(document.first_row, document.first_row + document.rows)
        vectors = segment.vectors[rows.start : rows.stop].tobytes()
        found[document.row.path] = document.row, segment.passages(rows), vectors
    return found


def require_as_undisturbed(site: Site, model: str) -> None:
    """The collection equals one that a single run makes of the same corpus, and all its files are sound."""
    assert verify_collection(site.layout).problems == ()
    disturbed = contents(site.layout)
    home = site.home
    site.home = site.folder / "undisturbed"
    shutil.rmtree(site.home, ignore_errors=True)
    site.commands.run(*site.index_arguments(model))
    assert contents(Layout.of(site.home, "notes")) == disturbed
    site.home = home
