"""Plans: questions cut by rule, plans read from replies, rankings fused, limits, failures; a real model as planner."""

import threading
from dataclasses import replace

import pytest

from pipeline.collection import Collection
from pipeline.errors import BadReply, ServerTimeout, UsageError
from pipeline.query import PLANS, Found, Plan, PlanKind, Planner, SearchOptions
from pipeline.query.planners import WAYS, parsed_plan, rule_planner
from pipeline.query.split import split_question
from tests.conftest import CHAT_MODEL

KEYS = "How often are signing keys rotated?"


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "How often are keys rotated and how far away is the copy kept?",
            ("How often are keys rotated?", "how far away is the copy kept?"),
        ),
        (
            "When is the library open? And who pays for the new roof?",
            ("When is the library open?", "who pays for the new roof?"),
        ),
        (
            "What are the opening hours of the library and the museum?",
            ("What are the opening hours of the library?", "What are the opening hours of the museum?"),
        ),
        (
            "Which parcel goes first, and why, and what does the word yacht come from?",
            ("Which parcel goes first, and why?", "what does the word yacht come from?"),
        ),
        ("How often are keys rotated?", ()),
        ("How high is the tower, and who built it?", ()),
        ("When does it open? Who pays?", ()),
        ("How long do salt and pepper keep?", ()),
        ("What is the difference between the ferry and the bus?", ()),
        ("Is the museum open or closed?", ()),
        ("and", ()),
        ("", ()),
    ],
)
def test_compound_questions_are_cut(question: str, parts: tuple[str, ...]) -> None:
    """Where what follows asks again, or names another thing; not where a part points to the one before it."""
    assert split_question(question) == parts
    assert rule_planner(question) == Plan(kind="split", queries=parts)
    assert bool(rule_planner(question)) == bool(parts)


@pytest.mark.parametrize(
    ("kind", "content", "queries"),
    [
        (
            "multi-query",
            '{"queries": ["rotation of  keys", "Rotation of keys.", "how often are signing keys rotated"]}',
            1,
        ),
        ("multi-query", '{"queries": ["a b", "", "x' + "y" * 400 + '"]}', 1),
        ("multi-query", '{"queries": ["refund for a cancelled journey"]}', 0),
        ("decompose", '{"queries": ["How often are the keys rotated?"]}', 0),
        ("decompose", '{"queries": ["How often?", "Which keys?"]}', 2),
        ("decompose", '{"queries": ["How often?", "Which ke', 2),
        ("decompose", '{"queries": ["How often?", "Which keys?", ', 2),
    ],
)
def test_plans_are_read_from_replies(kind: PlanKind, content: str, queries: int) -> None:
    """What says the question or the example again, comes twice, is empty or too long is left out."""
    assert len(parsed_plan(content, kind, KEYS, "m").queries) == queries


def test_passage_is_read_from_a_reply() -> None:
    """White space becomes single, and the passage has an end."""
    plan = parsed_plan('{"passage": "Keys are\\n rotated. ' + "x" * 2000 + '"}', "hyde", KEYS, "m")
    assert plan.passage.startswith("Keys are rotated. xxx")
    assert len(plan.passage) == 800
    assert parsed_plan('{"passage": "Keys are rotated ev', "hyde", KEYS, "m").passage == "Keys are rotated ev"


@pytest.mark.parametrize("content", ["", "no", "[]", '{"queries": 3}', '{"queries": [3]}', '{"passage": null}'])
def test_reply_that_is_no_plan_is_an_error(content: str) -> None:
    """It names the model."""
    with pytest.raises(BadReply, match="m wrote no plan"):
        parsed_plan(content, "hyde" if "passage" in content else "step-back", KEYS, "m")


def planning(*queries: str, passage: str = "") -> Planner:
    return lambda _: Plan(kind="multi-query", queries=queries, passage=passage)


def scores_of(found: Found) -> dict[str, float]:
    """What each passage is ranked by; where only words count, the share of theirs, as BM25 of queries do not compare."""
    details = {hit.chunk_id: (hit.explain or {})["lexical"].detail for hit in found.hits if found.mode == "lexical"}
    return {hit.chunk_id: details[hit.chunk_id]["share"] if details else hit.score for hit in found.hits}


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_what_the_plan_finds_comes_up(notes: Collection, mode: str) -> None:
    """The score is the mean of that for the question and the best in the plan; the stages' scores are the question's."""
    options = SearchOptions(mode=mode, explain=True)  # type: ignore[arg-type]
    queries = ("how long does the dough rest?", "How often does the tide gauge report?")
    plain, *alone = [scores_of(notes.find(query, options)) for query in (KEYS, *queries)]
    found = notes.find(KEYS, options, planner=planning(*queries))
    assert found.plan == Plan(kind="multi-query", queries=queries)
    if mode != "lexical":  # where words such as "how" and "often" count too
        assert {hit.path.rsplit("/", 1)[-1] for hit in found.hits[:3]} == {"keys.md", "bread.md", "tides.txt"}
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
    for hit in found.hits:
        assert hit.explain is not None
        stage = hit.explain["plan"]
        if mode == "hybrid":
            fused = hit.explain["fused"]
            assert fused.score == pytest.approx(0.7 * fused.detail["own"] + 0.3 * fused.detail["neighbours"], rel=1e-5)
        assert (stage.rank, stage.score) == (hit.rank, hit.score)
        own, first, second = (scores.get(hit.chunk_id, 0.0) for scores in (plain, *alone))
        assert hit.score == pytest.approx((own + max(first, second)) / 2, abs=1e-5)
        assert set(stage.detail) == {"question", "1", "2"}
    bread = next(hit for hit in found.hits if hit.path.endswith("bread.md"))
    assert (bread.explain or {})["plan"].detail["1"] == 1


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_made_up_passage_stands_in_for_the_question(notes: Collection, mode: str) -> None:
    """What reads like the passage comes up; where only words count, its words do."""
    options = SearchOptions(mode=mode)  # type: ignore[arg-type]
    passage = "The dough rests at room temperature for some hours and is then baked in the oven."
    found = notes.find(KEYS, options, planner=planning(passage=passage))
    assert "bread.md" in {hit.path.rsplit("/", 1)[-1] for hit in found.hits[:2]}
    assert found.plan is not None
    assert found.plan.passage == passage


def test_phrases_and_conditions_hold_for_the_plan(notes: Collection) -> None:
    """What is quoted must stand in every hit, and every document meets the condition."""
    found = notes.find('signing "engineer on call"', SearchOptions(), planner=planning("dough", "water level"))
    assert [hit.path.rsplit("/", 1)[-1] for hit in found.hits] == ["keys.md"]
    found = notes.find("signing keys", SearchOptions(where="path ~ '*.txt'"), planner=planning("dough"))
    assert {hit.path.rsplit("/", 1)[-1] for hit in found.hits} == {"tides.txt"}


def test_plan_that_fails_or_takes_too_long_leaves_the_question(notes: Collection) -> None:
    """The hits are those without a plan, and a notice says why."""
    plain = notes.find(KEYS, SearchOptions())
    never = threading.Event()

    def fails(_: str) -> Plan:
        raise ServerTimeout("no answer in time")

    def waits(_: str) -> Plan:
        never.wait()
        return Plan(kind="hyde", passage="late")

    expected = {fails: "no answer in time", waits: "the 0.5 seconds for it are over"}
    for planner, why in expected.items():
        found = notes.find(KEYS, SearchOptions(plan_seconds=0.5), planner=planner)
        notice = f"searched for the question as it is, without a plan: {why}"
        assert found == replace(plain, notices=(notice,))
    never.set()


def test_part_that_the_model_cannot_take_is_left_out(notes: Collection) -> None:
    """The rest of the plan is searched for, and a notice names what is wrong."""
    options = SearchOptions(explain=True)
    found = notes.find(KEYS, options, planner=planning("dough " * 400, "how long does the dough rest?"))
    assert any(notice.startswith("a part of the plan was left out: the query is longer") for notice in found.notices)
    assert "bread.md" in {hit.path.rsplit("/", 1)[-1] for hit in found.hits[:2]}
    details = [(hit.explain or {})["plan"].detail for hit in found.hits]
    assert all(detail["1"] == 0 and detail["2"] > 0 for detail in details)
    found = notes.find(KEYS, options, planner=planning("dough " * 400))
    assert [hit.chunk_id for hit in found.hits] == [hit.chunk_id for hit in notes.find(KEYS, options).hits]


def test_plan_without_anything_new_is_none(notes: Collection) -> None:
    """The search is the plain one, without a notice: a question that is one is no failure."""
    assert notes.find(KEYS, SearchOptions(plan="split")) == notes.find(KEYS, SearchOptions())


def test_mistakes_are_refused(notes: Collection) -> None:
    """A kind that there is not, a limit of nothing, a plan for a place."""
    with pytest.raises(UsageError, match="there is no plan 'magic'"):
        SearchOptions(plan="magic")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be above 0"):
        SearchOptions(plan_seconds=0)
    with pytest.raises(UsageError, match="no question to plan for"):
        notes.find("", SearchOptions(plan="split"), like="keys.md")


def test_a_model_that_is_not_there_is_reported(notes: Collection) -> None:
    """The search succeeds, with a notice that names the model."""
    planner = notes.planner("hyde", model="no-such-model:7b")
    found = notes.find(KEYS, SearchOptions(plan="hyde"), planner=planner)
    assert found.hits
    (notice,) = found.notices
    assert "no-such-model:7b" in notice


@pytest.mark.parametrize("kind", [kind for kind in PLANS if kind != "split"])
def test_a_chat_model_plans(notes: Collection, kind: PlanKind) -> None:
    """A real model, held by the grammar, gives a plan of the kind that was asked for."""
    plan = notes.planner(kind, model=CHAT_MODEL)(KEYS)
    assert plan.kind == kind
    assert kind in WAYS
    assert bool(plan.passage) == (kind == "hyde")
    assert len(plan.queries) <= 3
