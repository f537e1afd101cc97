"""Search over real collections: modes, conditions, phrases, examples, selection, several collections."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipeline.collection import Collection, find_in
from pipeline.errors import UsageError
from pipeline.query import MODES, SearchOptions
from pipeline.types import Hit
from tests.query.conftest import TEXTS, config, write


def names(hits: list[Hit]) -> list[str]:
    return [Path(hit.path).name for hit in hits]


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_finds_the_passage(notes: Collection, mode: str) -> None:
    """A question that shares meaning and words with a passage finds it first in every mode."""
    hits = notes.search("how often are signing keys rotated?", mode=mode, k=3)  # type: ignore[arg-type]
    assert names(hits)[0] == "keys.md"
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_scores_are_those_of_the_stages_that_ran(notes: Collection) -> None:
    """Dense hits have no lexical score, lexical ones no dense score, hybrid ones both, the same as alone."""
    dense = {hit.chunk_id: hit for hit in notes.search("signing keys", mode="dense")}
    lexical = {hit.chunk_id: hit for hit in notes.search("signing keys", mode="lexical")}
    both = notes.search("signing keys", mode="hybrid")
    assert {hit.scores.lexical for hit in dense.values()} == {None}
    assert {hit.scores.dense for hit in lexical.values()} == {None}
    assert len(both) == len(dense)
    for hit in both:
        assert hit.scores.dense == pytest.approx(dense[hit.chunk_id].scores.dense, abs=1e-6)
        expected = lexical[hit.chunk_id].scores.lexical if hit.chunk_id in lexical else 0
        assert hit.scores.lexical == pytest.approx(expected, abs=1e-6)


def test_hybrid_score_is_the_sum_that_it_explains(notes: Collection) -> None:
    """The fused score is the cosine's deviations and fifteen times the share, drawn towards that of the neighbours; terms
    add up to the lexical score."""
    hits = notes.search("signing keys in the vault", explain=True)
    for hit in hits:
        assert hit.explain is not None
        dense, lexical, fused = (hit.explain[name] for name in ("dense", "lexical", "fused"))
        own, neighbours = fused.detail["own"], fused.detail["neighbours"]
        assert own == pytest.approx(dense.detail["deviations"] + 15 * lexical.detail["share"], abs=1e-4)
        assert hit.score == fused.score == pytest.approx(0.7 * own + 0.3 * neighbours, abs=1e-4)
        assert sum(lexical.terms.values()) == pytest.approx(lexical.score, abs=1e-4)
        assert fused.rank == hit.rank
    assert "vault" in hits[0].explain["lexical"].terms  # type: ignore[index]


def test_without_explain_a_hit_says_nothing_of_stages(notes: Collection) -> None:
    """Explanations cost time, so they are there only when asked for."""
    assert {hit.explain for hit in notes.search("keys")} == {None}


def test_words_and_examples_need_no_server(notes: Collection) -> None:
    """Words are looked up and stored vectors compared without a model: a server that is down does not matter."""
    with Collection("notes", replace(notes.config, host="127.0.0.1:1")) as offline:
        assert names(offline.search("dough", mode="lexical")) == ["bread.md"]
        assert len(offline.search(like="tides.txt:1")) == notes.snapshot.manifest.live_rows - 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("load_signing_key", "keys.md"),
        ("loadSigningKey", "keys.md"),
        ("connect_timeout", "settings.py"),
        ("MAX_RETRIES", "settings.py"),
        ("rfc 2119", "settings.py"),
        ("230", "bread.md"),
        ("rotating", "keys.md"),
        ('title:x AND (unclosed OR "half', None),
        ("+-*/[]{}^~\\!", None),
        ("bread AND NOT bread", "bread.md"),
        ("\x00\ud7ff", None),
    ],
)
def test_any_text_is_a_query(notes: Collection, query: str, found: str | None) -> None:
    """Identifiers meet in every spelling, numbers and word forms count, and no text is an error."""
    hits = notes.search(query, mode="lexical", k=1)
    assert names(hits) == ([found] if found else [])


@pytest.mark.parametrize("mode", MODES)
def test_phrases_must_stand_as_they_are(notes: Collection, mode: str) -> None:
    """What is quoted is demanded literally, but for case and line breaks, in every mode."""
    hits = notes.search('"ROTATED every ninety"', mode=mode)  # type: ignore[arg-type]
    assert names(hits) == ["keys.md"]
    assert notes.search('"every rotated ninety"', mode=mode) == []  # type: ignore[arg-type]
    assert notes.search('"rotat"', mode=mode) == []  # type: ignore[arg-type]
    assert names(notes.search("water “tide gauge”", mode=mode)) == ["tides.txt"]  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_conditions_leave_k_hits(notes: Collection, mode: str) -> None:
    """A condition is part of the search: what meets it is found, however far down it would rank."""
    hits = notes.search("signing keys dough water seconds", k=1, mode=mode, where="path ~ 'code/**'")  # type: ignore[arg-type]
    assert names(hits) == ["settings.py"]
    assert set(names(notes.search("keys", k=10, mode=mode, where="author = mary"))) == {"keys.md"}  # type: ignore[arg-type]


def test_like_finds_others_and_not_itself(notes: Collection) -> None:
    """A passage is like others of its subject; it is not like itself."""
    rotation = notes.search("signing keys are rotated", k=1)[0]
    hits = notes.search(like=f"{rotation.path}:{rotation.start_line}", k=10)
    assert rotation.chunk_id not in {hit.chunk_id for hit in hits}
    assert len(hits) == notes.snapshot.manifest.live_rows - 1
    by_end = notes.search(like=f"keys.md:{rotation.start_line}", k=10)
    assert by_end == hits


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ("nowhere.md:3", "no document nowhere.md"),
        ("bread.md:999", "no passage of bread.md has line 999"),
    ],
)
def test_places_that_are_not_there_are_refused(notes: Collection, like: str, message: str) -> None:
    """A wrong path or line says so, rather than finding something else."""
    with pytest.raises(UsageError, match=message):
        notes.search(like=like)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": ""}, "the query is empty"),
        ({"query": "x", "like": "a:1"}, "say two things"),
        ({"query": "x", "k": 0}, "k must be at least 1"),
        ({"query": "x", "mode": "fuzzy"}, "no mode 'fuzzy'"),
        ({"query": "x", "diversity": 1.5}, "from 0 to 1"),
        ({"query": "x", "per_document": 0}, "at least 1"),
        ({"query": "x", "rerank_seconds": 0}, "above 0"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_impossible_arguments_are_refused(notes: Collection, arguments: dict[str, object], message: str) -> None:
    """Every setting that cannot be acted on is a UsageError that names it."""
    with pytest.raises(UsageError, match=message):
        notes.search(**arguments)  # type: ignore[arg-type]


def test_several_collections_rank_as_one(tmp_path: Path, models_folder: Path) -> None:
    """Documents split over two collections get the ranks and scores that they have in one.

    Not to the last digit: the model's vectors depend a little on what is embedded in the same request.
    """
    settings = config(tmp_path, models_folder)
    first = write(tmp_path / "a", {name: TEXTS[name] for name in ("keys.md", "tides.txt")})
    second = write(tmp_path / "b", {name: TEXTS[name] for name in ("bread.md", "code/settings.py")})
    with (
        Collection("a", settings) as a,
        Collection("b", settings) as b,
        Collection("both", settings) as both,
    ):
        a.index(first)
        b.index(second)
        both.index(first, second)
        for query in ("signing keys", "seconds of water", 'the "gauge"'):
            for mode in MODES:
                options = SearchOptions(mode=mode)
                apart = find_in([a, b], query, options).hits
                together = both.find(query, options).hits
                assert [hit.chunk_id for hit in apart] == [hit.chunk_id for hit in together]
                assert [hit.score for hit in apart] == pytest.approx([hit.score for hit in together], abs=0.05)
        assert {hit.collection for hit in find_in([a, b], "water", SearchOptions()).hits} == {"a", "b"}


LONG = "# Part {0}\n\n" + "\n\n".join(
    f"Paragraph {number} of {{0}} speaks of {{1}} and of nothing else. " * 12 for number in range(8)
)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Collection]:
    """Two long documents of several passages, and a copy of one of them."""
    folder = tmp_path_factory.mktemp("books")
    texts = {"sea.md": LONG.format("sea", "harbour tides"), "land.md": LONG.format("land", "mountain roads")}
    with Collection("books", config(folder, models_folder)) as collection:
        collection.index(write(folder / "texts", {**texts, "copy.md": texts["sea.md"]}))
        yield collection


@pytest.mark.parametrize("mode", MODES)
def test_cap_per_document(books: Collection, mode: str) -> None:
    """No document has more hits than allowed, and others come up in their place."""
    hits = books.search("harbour tides mountain roads paragraph", k=3, mode=mode, per_document=1)  # type: ignore[arg-type]
    assert sorted(names(hits)) == ["copy.md", "land.md", "sea.md"]


def test_same_passages_collapse(books: Collection) -> None:
    """Passages that say the same make one hit, which names the places of the others."""
    hits = books.search("harbour tides", k=50, collapse=True)
    assert len({hit.text for hit in hits}) == len(hits)
    first = hits[0]
    assert first.duplicates
    assert {Path(place.rsplit(":", 1)[0]).name for place in first.duplicates} <= {
        "sea.md",
        "copy.md",
    }


def test_neighbours_merge_into_their_document(books: Collection) -> None:
    """Neighbouring passages become one hit: the text of the file from its first line to its last, each part once."""
    plain = books.search("mountain roads", k=50, where="name = land.md")
    assert len(plain) > 2
    merged = books.search("mountain roads", k=50, where="name = land.md", merge=True)
    assert len(merged) < len(plain)
    whole = Path(merged[0].path).read_text()
    assert merged[0].text.split() == whole.split()
    assert (merged[0].start_line, merged[0].end_line) == (1, max(hit.end_line for hit in plain))


def test_diversity_brings_other_passages_up(books: Collection) -> None:
    """With diversity the second hit is not the copy of the first one."""
    plain = books.search("paragraph of harbour tides", k=2)
    assert plain[0].text == plain[1].text
    diverse = books.search("paragraph of harbour tides", k=2, diversity=0.7)
    assert diverse[0] == plain[0]
    assert diverse[1].text != plain[0].text


def test_hits_are_plain_records(notes: Collection) -> None:
    """A hit becomes JSON as it is, with the keys that others build on."""
    fields = asdict(notes.search("keys", k=1)[0])
    assert set(fields["scores"]) == {"dense", "lexical", "rerank"}
    assert {"rank", "score", "path", "start_line", "end_line", "page", "heading", "text"} <= set(fields)
