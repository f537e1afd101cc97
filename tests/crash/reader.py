"""A process that reads a collection all the time while others write it and are killed.

In: on the command line the home, the collection and a server; it ends when its stdin does. Out: on stdout one JSON
object with what it did, or what it saw that must never be seen. It checks every document of each state that it sees,
that no state is older than one before, that searches give passages with their true scores, and that a state which it
holds on to stays readable as it was.
"""

import json
import random
import select
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pipeline
from pipeline.chunk import ChunkSettings
from pipeline.collection import Collection
from pipeline.errors import CollectionNotFound
from pipeline.query import MODES
from pipeline.store import Snapshot
from pipeline.types import Chunk, Hit
from tests.crash.corpus import expected_chunks, versions_in
from tests.crash.server import vector_for

K = 5
PAUSE_SECONDS = 0.005
"""Between two rounds, so that a machine of few cores gets on with what is to be killed."""


@dataclass
class Reading:
    """What was done so far."""

    states: int = 0
    generations: int = 0
    newest: int = 0
    searches: int = 0
    held: int = 0
    error: str = ""


class Reader:
    def __init__(self, home: Path, name: str, host: str) -> None:
        self.reading = Reading()
        self.home, self.name, self.host = home, name, host
        self.notes = self.opened()
        self.random = random.Random(1)
        self.versions: dict[str, int] = {}
        self.kept: tuple[Snapshot, dict[str, int]] | None = None

    def opened(self) -> Collection:
        return pipeline.open_collection(self.name, home=self.home, host=self.host)

    def look(self) -> None:
        """One round: the newest state, a search, and now and then an old state."""
        try:
            snapshot = self.notes.snapshot
        except CollectionNotFound:
            assert not self.reading.states, "the collection is gone"
            return
        generation = snapshot.manifest.generation
        assert generation >= self.reading.newest, f"generation {generation} after {self.reading.newest}"
        versions = versions_in(snapshot)
        for name in versions.keys() & self.versions.keys():
            assert versions[name] >= self.versions[name], f"{name}: {versions[name]} after {self.versions[name]}"
        self.reading.generations += generation > self.reading.newest
        self.reading.newest = generation
        self.versions |= versions
        self.reading.states += 1
        if versions:
            self.search(snapshot, sorted(versions))
        self.hold(snapshot, versions)

    def search(self, snapshot: Snapshot, names: list[str]) -> None:
        """Asks for a passage as it was a moment ago; what comes back must be passages that there are, truly scored."""
        settings = ChunkSettings(**snapshot.manifest.chunker)
        name = self.random.choice(names)
        asked = self.random.choice(expected_chunks(name, self.versions[name], settings))
        hits = self.notes.search(asked.embedded_text, k=K, mode=self.random.choice(MODES))
        assert hits, "a search found nothing"
        models = [snapshot.manifest.model.name, self.notes.snapshot.manifest.model.name]
        for hit in hits:
            chunk = self.chunk_of(hit, settings)
            scores = [
                float(np.dot(vector_for(model, asked.embedded_text), vector_for(model, chunk.embedded_text)))
                for model in models
            ]
            given = hit.scores.dense
            assert given is None or min(abs(score - given) for score in scores) < 1e-5, f"{given} is none of {scores}"
        self.reading.searches += 1

    def chunk_of(self, hit: Hit, settings: ChunkSettings) -> Chunk:
        """The chunk that a hit's passage is, of the document's newest version or another one."""
        name = Path(hit.path).stem
        newest = self.versions.get(name, 0)
        for version in sorted(range(newest + 10), key=lambda other: abs(other - newest)):
            for chunk in expected_chunks(name, version, settings):
                if chunk.text == hit.text:
                    return chunk
        raise AssertionError(f"{name} never said {hit.text!r}")

    def hold(self, snapshot: Snapshot, versions: dict[str, int]) -> None:
        """A state that was opened some rounds ago and not read yet is what it was then."""
        if self.kept is None:
            # Opened for itself: nothing of it is in memory but what opening reads.
            fresh = Snapshot.open(snapshot.layout)
            if fresh.manifest.generation == snapshot.manifest.generation:
                self.kept = fresh, versions
        elif self.random.random() < 0.2:
            kept, then = self.kept
            assert versions_in(kept) == then, "a state that was held has changed"
            self.reading.held += 1
            self.kept = None


def main() -> None:
    home, name, host = sys.argv[1:]
    reader = Reader(Path(home), name, host)
    try:
        while not select.select([sys.stdin], [], [], 0)[0]:
            reader.look()
            time.sleep(PAUSE_SECONDS)
    except BaseException:  # noqa: BLE001 - handed to the tests, which fail with it
        reader.reading.error = traceback.format_exc()
    print(json.dumps(reader.reading.__dict__), flush=True)


if __name__ == "__main__":
    main()
