"""The lexical index at size: time to make it, bytes, milliseconds a query, what adding a thousand passages costs.

Passages are drawn from the words of the sample corpus with the frequencies that they have there, 140 words each, and
every hundredth word is one of a million names, so that the vocabulary grows as it does in real text. Vectors are small
and random: they are not looked at. With tantivy installed (`pip install tantivy`), the same texts and queries go
through it as well, query by query in turn.

    python benchmarks/lexical.py [--passages 100000] [--commits 25]
"""

import argparse
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.embed import ModelIdentity
from pipeline.lexical import LexicalIndex, bring_up_to_date, word_pattern
from pipeline.store import CollectionWriter, DocumentRow, Layout, SegmentBuilder, Snapshot
from pipeline.types import Chunk

SAMPLE = Path(__file__).parent.parent / "sample_corpus"
WORDS_A_PASSAGE = 140
PASSAGES_A_DOCUMENT = 20
DIMENSION = 4
QUERIES = 200
MODEL = ModelIdentity(name="none", digest="", dimension=DIMENSION, context=256, query_prefix="", document_prefix="")


def vocabulary() -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in SAMPLE.rglob("*") if path.suffix in {".md", ".txt", ".rst"}]
    return [word for text in texts for word in word_pattern().findall(text)]


def passage(words: list[str], chooser: random.Random) -> str:
    chosen = chooser.choices(words, k=WORDS_A_PASSAGE)
    chosen[0] = f"name{chooser.randrange(1_000_000)}"
    return " ".join(chosen)


def commit(writer: CollectionWriter, texts: list[str], first: int) -> Snapshot:
    builder = SegmentBuilder(DIMENSION)
    vector = np.full(DIMENSION, 0.5, np.float32)
    for at in range(0, len(texts), PASSAGES_A_DOCUMENT):
        path = f"/{first + at}"
        row = DocumentRow(
            document_id=path, path=path, title="", format="text", size=1, mtime_ns=1, content_hash="x", metadata={}
        )
        chunks = [chunk(text, path, number) for number, text in enumerate(texts[at : at + PASSAGES_A_DOCUMENT])]
        builder.add(row, chunks, [vector] * len(chunks))
    return writer.commit(builder)


def chunk(text: str, path: str, number: int) -> Chunk:
    return Chunk(
        chunk_id=f"{path}-{number}",
        document_id=path,
        start=number,
        end=number + len(text),
        text=text,
        heading_path=(),
        start_line=1,
        end_line=1,
        embedded_text=text,
        content_hash=number.to_bytes(8, "little") + hash(path).to_bytes(8, "little", signed=True),
    )


@dataclass(frozen=True)
class Timing:
    seconds: list[float]

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        return f"p50 {statistics.median(ordered) * 1000:.2f}, p95 {ordered[int(len(ordered) * 0.95)] * 1000:.2f} CPU ms"


def computed(action: Callable[[], object]) -> float:
    """Seconds of processor time, all threads together: what else the machine does matters little."""
    started = time.process_time()
    action()
    return time.process_time() - started


def best_ten(index: LexicalIndex, query: str) -> list[int]:
    scores, _ = index.scores(query)
    best = np.argpartition(scores, -10)[-10:]
    return best[np.argsort(-scores[best])].tolist()


def in_tantivy(texts: list[str], folder: Path) -> Callable[[str], object] | None:
    """The same in tantivy, with its English analyzer: prints what making it took, and gives a search."""
    try:
        import tantivy
    except ImportError:
        return None
    fields = tantivy.SchemaBuilder()
    fields.add_text_field("text", tokenizer_name="en_stem")
    schema = fields.build()
    folder.mkdir()
    index = tantivy.Index(schema, path=str(folder))

    def make() -> None:
        writer = index.writer(heap_size=128_000_000, num_threads=1)
        for text in texts:
            document = tantivy.Document()
            document.add_text("text", text)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()

    print(f"tantivy: made in {computed(make):.1f} CPU s, {size(folder) / 2**20:.1f} MiB")
    index.reload()
    searcher = index.searcher()

    def search(query: str) -> object:
        parts = [
            (tantivy.Occur.Should, index.parse_query(f'"{word}"', ["text"]))
            for word in word_pattern().findall(query.lower())
        ]
        return searcher.search(tantivy.Query.boolean_query(parts), limit=10, count=False)

    return search


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--commits", type=int, default=25)
    options = parser.parse_args()
    words, chooser = vocabulary(), random.Random(0)
    texts = [passage(words, chooser) for _ in range(options.passages)]
    queries = [" ".join(chooser.choices(words, k=4)) for _ in range(QUERIES)]
    characters = sum(map(len, texts))
    print(f"{len(texts)} passages, {characters / 2**20:.0f} MiB of text, {options.commits} commits")
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout.of(Path(folder), "bench")
        with CollectionWriter(layout) as writer:
            snapshot = writer.create(MODEL, {})
            step = -(-len(texts) // options.commits)
            for at in range(0, len(texts), step):
                snapshot = commit(writer, texts[at : at + step], at)
            seconds = computed(lambda: bring_up_to_date(snapshot))
            rate, disk = characters / seconds / 2**20, size(layout.root / "lexical") / 2**20
            print(f"made in {seconds:.1f} CPU s ({rate:.1f} MiB/s), {disk:.1f} MiB")
            added = commit(writer, [passage(words, chooser) for _ in range(1000)], len(texts))
            print(f"a thousand more: {computed(lambda: bring_up_to_date(added)) * 1000:.0f} CPU ms")
        opened: list[LexicalIndex] = []
        print(f"opened in {computed(lambda: opened.append(LexicalIndex.open([added]))) * 1000:.1f} CPU ms", end=", ")
        print(f"first query {computed(lambda: best_ten(opened[0], queries[0])) * 1000:.1f} CPU ms")
        other = in_tantivy(texts, Path(folder) / "tantivy")
        ours: list[float] = []
        theirs: list[float] = []
        for query in queries:
            ours.append(computed(lambda query=query: best_ten(opened[0], query)))
            if other is not None:
                theirs.append(computed(lambda query=query: other(query)))
        print(f"a query of four words: {Timing(ours)}")
        if theirs:
            print(f"tantivy, the same:     {Timing(theirs)}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
