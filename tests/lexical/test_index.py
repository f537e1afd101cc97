"""BM25 against a plain reckoning of it, whatever happened to the collection and its files."""

import math
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lexical import Analyzer, LexicalBeside, LexicalIndex, bring_up_to_date, making, postings
from pipeline.optimize import optimize
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, Snapshot
from tests import make

WORDS = ["alpha", "beta", "gamma", "delta", "rotate", "rotated", "keys", "user_name", "userName", "v1.2", "os.path"]
DIMENSION = 4


def text_of(seed: int) -> str:
    random = np.random.default_rng(seed)
    return " ".join(random.choice(WORDS, size=int(random.integers(1, 30))))


def add(builder: SegmentBuilder, number: int) -> None:
    """Document `number`: two passages, whose texts follow from the number."""
    path = f"/{number}"
    chunks = [make.chunk(text_of(2 * number + at), document_id=path, start=at) for at in range(2)]
    row = make.document_row(path)
    builder.add(row, chunks, list(make.unit_rows(2, DIMENSION, seed=number)))


def build(layout: Layout, commits: list[list[int]], removed: Set[int] = frozenset()) -> Snapshot:
    """A collection made in several commits, from which some documents have been removed again."""
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        for numbers in commits:
            builder = SegmentBuilder(DIMENSION)
            for number in numbers:
                add(builder, number)
            writer.commit(builder)
        assert writer.snapshot is not None
        gone = [item for item in writer.snapshot.documents() if int(item.row.path[1:]) in removed]
        if gone:
            writer.commit(SegmentBuilder(DIMENSION), retired=gone)
    return Snapshot.open(layout)


def by_passage(snapshot: Snapshot, query: str) -> dict[str, float]:
    """Scores by chunk id, of live rows with any."""
    index = LexicalIndex.open([snapshot])
    scores, most = index.scores(query)
    found: dict[str, float] = {}
    for segment, start in zip(snapshot.segments, index.starts, strict=False):
        for row, passage in enumerate(segment.passages(range(segment.record.rows))):
            if scores[start + row] > 0:
                found[passage["chunk_id"]] = float(scores[start + row])
                assert scores[start + row] <= most
    return found


def reckoned(numbers: list[int], query: str) -> dict[str, float]:
    """The same by the book: k1 1.2, b 0.75, idf ln(1 + (N - n + 0.5) / (n + 0.5))."""
    analyzer = Analyzer()
    rows = {
        f"/{number}-{at}": Counter(
            term
            for text in (f"/{number}\nHeading", text_of(2 * number + at))
            for found in analyzer.terms(text)
            for term in found
        )
        for number in numbers
        for at in range(2)
    }
    mean = sum(sum(row.values()) for row in rows.values()) / len(rows)
    scores: Counter[str] = Counter()
    for term in (term for found in analyzer.terms(query) for term in found):
        having = [name for name, row in rows.items() if term in row]
        weight = math.log(1 + (len(rows) - len(having) + 0.5) / (len(having) + 0.5))
        for name in having:
            often, length = rows[name][term], sum(rows[name].values())
            scores[name] += weight * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * length / mean))
    return {name: score for name, score in scores.items() if score > 0}


def assert_same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert found.keys() == expected.keys()
    for name, score in found.items():
        assert score == pytest.approx(expected[name], rel=1e-4)


QUERIES = ["rotating keys", "username alpha alpha", "v1.2 or os.path", "nowhere gamma", "heading"]


@pytest.mark.parametrize("query", QUERIES)
def test_scores_are_bm25(tmp_path: Path, query: str) -> None:
    """Every live passage has the score that the formula gives, and no other passage has one."""
    snapshot = build(Layout.of(tmp_path, "notes"), [[0, 1, 2, 3], [4, 5], [6]], removed={1, 4})
    assert_same(by_passage(snapshot, query), reckoned([0, 2, 3, 5, 6], query))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=5, unique=True), min_size=1, max_size=4), st.data())
def test_scores_do_not_depend_on_history(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[int]], data: st.DataObject
) -> None:
    """Whatever was committed in whatever steps and removed again: the same documents have the same scores."""
    seen: set[int] = set()
    steps = [[number for number in step if not (number in seen or seen.add(number))] for step in commits]
    removed = data.draw(st.sets(st.sampled_from(sorted(seen)), max_size=len(seen) - 1))
    snapshot = build(Layout.of(tmp_path_factory.mktemp("home"), "notes"), [step for step in steps if step], removed)
    for query in QUERIES:
        assert_same(by_passage(snapshot, query), reckoned(sorted(seen - removed), query))


def test_parts_of_a_segment_are_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that is too large for one part gives the same scores, from memory and from disk."""
    monkeypatch.setattr(making, "PART_ROWS", 3)
    snapshot = build(Layout.of(tmp_path, "notes"), [list(range(10))], removed={3})
    expected = reckoned([number for number in range(10) if number != 3], QUERIES[0])
    parts = list(making.make_parts(snapshot.segments[0], set(), making.Analyzers()))
    assert [part.first_row for part in parts] == [0, 3, 6, 9, 12, 15, 18]
    for _ in range(2):
        assert_same(by_passage(snapshot, QUERIES[0]), expected)


def test_a_row_is_explained_by_its_terms(tmp_path: Path) -> None:
    """The parts of a score add up to it, the largest first."""
    index = LexicalIndex.open([build(Layout.of(tmp_path, "notes"), [[0, 1], [2]])])
    scores, _ = index.scores("rotated keys alpha")
    row = int(scores.argmax())
    parts = index.explain("rotated keys alpha", row)
    assert sum(part.score for part in parts) == pytest.approx(float(scores[row]), rel=1e-5)
    assert [part.score for part in parts] == sorted((part.score for part in parts), reverse=True)


def files_of(layout: Layout) -> set[Path]:
    return {path for path in (layout.root / "lexical").rglob("*") if path.is_file()}


def test_adding_writes_only_what_is_new(tmp_path: Path) -> None:
    """A commit makes the index of its own segment; the others stay as they are, byte for byte and inode for inode."""
    layout = Layout.of(tmp_path, "notes")
    bring_up_to_date(build(layout, [[0, 1], [2, 3]]))
    before = {path: path.stat().st_ino for path in files_of(layout)}
    with CollectionWriter(layout) as writer:
        builder = SegmentBuilder(DIMENSION)
        add(builder, 4)
        bring_up_to_date(writer.commit(builder))
    after = {path: path.stat().st_ino for path in files_of(layout)}
    assert before.items() <= after.items()
    assert len({path.parent for path in after}) == 3
    assert_same(by_passage(Snapshot.open(layout), "keys"), reckoned([0, 1, 2, 3, 4], "keys"))


def test_indexes_of_segments_that_are_gone_are_removed(tmp_path: Path) -> None:
    """What belongs to no segment that a reader may open is removed by the writer, with what a crash left behind."""
    layout = Layout.of(tmp_path, "notes")
    snapshot = build(layout, [[0]])
    for name in (f"00000099-{'0' * 16}-1.1", ".00000002-abc.123.tmp"):
        (layout.root / "lexical" / name).mkdir(parents=True)
    bring_up_to_date(snapshot)
    assert [path.name for path in (layout.root / "lexical").iterdir()] == [
        postings.segment_folder(layout, snapshot.segments[0].record).name
    ]


def test_a_merged_segment_takes_over_the_indexes_of_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merging makes the index from those that there are, reads no text for it, and the scores are those of the rest."""
    layout = Layout.of(tmp_path, "notes")
    bring_up_to_date(build(layout, [[0, 1, 2], [3, 4], [5]], removed={1, 5}))
    monkeypatch.delattr("pipeline.lexical.index.make_parts")
    with CollectionWriter(layout) as writer:
        optimize(writer, thorough=True)
    (segment,) = Snapshot.open(layout).segments
    assert postings.read_terms(layout, segment) is not None
    for query in QUERIES:
        assert_same(by_passage(Snapshot.open(layout), query), reckoned([0, 2, 3, 4], query))


def test_a_process_beside_makes_what_is_committed(tmp_path: Path) -> None:
    """At its end every segment has its index, made elsewhere; after an error nothing is left that counts."""
    layout = Layout.of(tmp_path, "notes")
    with LexicalBeside(layout) as beside:
        build(layout, [[0, 1], [2]])
        beside.committed()
    snapshot = Snapshot.open(layout)
    assert len(snapshot.segments) == 2
    assert all(postings.read_terms(layout, segment) is not None for segment in snapshot.segments)
    shutil.rmtree(layout.root / "lexical")
    with pytest.raises(KeyError), LexicalBeside(layout) as beside:
        beside.committed()
        raise KeyError
    assert_same(by_passage(snapshot, "keys"), reckoned([0, 1, 2], "keys"))


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "other", "languages"])
def test_damaged_indexes_are_made_again(tmp_path: Path, damage: str) -> None:
    """An index that is not what it was is noticed, made again, and kept."""
    layout = Layout.of(tmp_path, "notes")
    snapshot = build(layout, [[0, 1, 2]])
    bring_up_to_date(snapshot)
    folder = postings.segment_folder(layout, snapshot.segments[0].record)
    terms = folder / postings.TERMS
    if damage == "missing":
        shutil.rmtree(folder)
    elif damage == "cut":
        terms.write_bytes(terms.read_bytes()[:-40])
    elif damage == "empty":
        terms.write_bytes(b"")
    elif damage == "languages":
        (folder / "languages.json").write_text("[")
    else:
        other = build(Layout.of(tmp_path, "other"), [[5]])
        bring_up_to_date(other)
        shutil.copytree(postings.segment_folder(other.layout, other.segments[0].record), folder, dirs_exist_ok=True)
    assert_same(by_passage(snapshot, "keys"), reckoned([0, 1, 2], "keys"))
    assert postings.read_terms(layout, snapshot.segments[0]) is not None


def test_a_segment_of_the_same_number_is_not_taken_for_another(tmp_path: Path) -> None:
    """After a commit that failed the next one may use its number again: the index goes by content as well."""
    layout = Layout.of(tmp_path, "notes")
    bring_up_to_date(build(layout, [[0]]))
    kept = layout.root / "lexical"
    kept.rename(tmp_path / "kept")
    shutil.rmtree(layout.root)
    snapshot = build(layout, [[7]])
    (tmp_path / "kept").rename(kept)
    assert_same(by_passage(snapshot, "keys rotate"), reckoned([7], "keys rotate"))


def test_a_reader_keeps_its_snapshot(tmp_path: Path) -> None:
    """A reader that holds an older snapshot sees neither what came nor what went since."""
    layout = Layout.of(tmp_path, "notes")
    old = build(layout, [[0, 1], [2]])
    before = by_passage(old, "keys rotate")
    with CollectionWriter(layout) as writer:
        assert writer.snapshot is not None
        gone = [item for item in writer.snapshot.documents() if item.row.path == "/0"]
        builder = SegmentBuilder(DIMENSION)
        add(builder, 3)
        bring_up_to_date(writer.commit(builder, retired=gone))
    assert by_passage(old, "keys rotate") == before
    assert_same(by_passage(Snapshot.open(layout), "keys rotate"), reckoned([1, 2, 3], "keys rotate"))


SEARCH = """
import sys
from pathlib import Path
from pipeline.lexical import LexicalIndex
from pipeline.store import Layout, Snapshot
index = LexicalIndex.open([Snapshot.open(Layout.of(Path(sys.argv[1]), "notes"))])
print(round(float(index.scores("keys rotate")[0].sum()), 4))
"""


def test_processes_may_make_the_same_index_at_once(tmp_path: Path) -> None:
    """Several first readers find the same, whoever puts the index in place; nothing half done stays."""
    layout = Layout.of(tmp_path, "notes")
    snapshot = build(layout, [list(range(20)), list(range(20, 40))])
    command = [sys.executable, "-c", SEARCH, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    (output,) = outputs
    assert float(output) == pytest.approx(sum(reckoned(list(range(40)), "keys rotate").values()), rel=1e-3)
    expected = {postings.segment_folder(layout, segment.record).name for segment in snapshot.segments}
    assert {path.name for path in (layout.root / "lexical").iterdir()} == expected


def test_a_home_that_cannot_be_written_is_searched_all_the_same(tmp_path: Path) -> None:
    """Where no index can be kept it is made in memory, and the same is found; indexing goes on without it as well."""
    layout = Layout.of(tmp_path, "notes")
    snapshot = build(layout, [[0, 1], [2]])
    # A file where the folder would be: not even root can write below it.
    (layout.root / "lexical").write_text("")
    bring_up_to_date(snapshot)
    assert_same(by_passage(snapshot, "keys rotate"), reckoned([0, 1, 2], "keys rotate"))
    assert (layout.root / "lexical").read_text() == ""


def test_documents_are_found_in_their_language(tmp_path: Path) -> None:
    """Each document's words lose the endings of its own language, and a query meets all of them."""
    layout = Layout.of(tmp_path, "notes")
    texts = {
        "de": "Die Häuser am Hafen",
        "en": "the houses are rotated",
        "fr": "les maisons continueraient",
        "ja": "機械学習",
    }
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(DIMENSION), {})
        builder = SegmentBuilder(DIMENSION)
        for language, text in texts.items():
            row = replace(make.document_row(f"/{language}"), title="", metadata={"language": language})
            builder.add(row, [make.chunk(text, document_id=language)], list(make.unit_rows(1, DIMENSION)))
        writer.commit(builder)
    snapshot = Snapshot.open(layout)
    for query, language in (("Haus", "de"), ("rotating", "en"), ("continuation", "fr"), ("学習", "ja")):
        assert list(by_passage(snapshot, query)) == [f"{language}-0"]
