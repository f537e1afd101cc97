"""Answers measured: the rules against values worked by hand, real models over a real collection, kept replies, the page."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.api import Client, RetryPolicy
from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.errors import StreamInterrupted, UsageError
from pipeline.evaluate import (
    AnswerComparison,
    AnswerResult,
    AnswerRun,
    GoldenQuestion,
    GoldenTask,
    Run,
    judge_answer,
    read_golden,
    run_answers,
    run_modes,
    write_report,
)
from pipeline.evaluate.judging import states, token_f1
from pipeline.evaluate.replies import KeptReplies
from pipeline.types import Answer, Citation, Hit, Usage
from tests import make
from tests.api.scripted_server import Answer as Reply
from tests.api.scripted_server import as_json, lines, scripted_server
from tests.conftest import CHAT_MODEL

ROOT = Path("/docs")
KEYS = "Signing keys are rotated every ninety days by the engineer on call. The old key stays valid for one week."
BREAD = "Let the dough rest for four hours at room temperature, then bake it for fifty minutes."
QUESTION = GoldenQuestion(
    question="How often are signing keys rotated?",
    path="keys.md",
    quote="rotated every ninety days",
    answer=(("ninety days", "90 days"), ("engineer",)),
)
NOWHERE = GoldenQuestion(question="Who won?", path=None, quote=None)


def hits() -> tuple[Hit, ...]:
    return (make.hit(KEYS, path="/docs/keys.md"), make.hit(BREAD, rank=2, path="/docs/bread.md"))


def citation(number: int, hit: Hit, quote: str) -> Citation:
    return Citation(number=number, path=hit.path, start_line=1, end_line=1, quote=quote)


def answer(text: str, *cited: int, answered: bool = True) -> Answer:
    found = hits()
    return Answer(
        question=QUESTION.question,
        text=text,
        answered=answered,
        citations=tuple(citation(number, found[number - 1], found[number - 1].text) for number in cited),
        hits=found,
        model="m",
        usage=Usage(prompt_tokens=100, answer_tokens=10),
        passages_read=2,
    )


@pytest.mark.parametrize(
    ("text", "wordings", "stated"),
    [
        ("It is 9 days.", ["9"], True),
        ("It is 90 days.", ["9"], False),
        ("The Ninety Day rule [1].", ["ninety days"], True),
        ("above 25000 euros", ["25,000"], True),
        ("It costs 0.38 euros.", ["38 euros"], False),
        ("the gull’s nest", ["gull", "hawk"], True),
        ("de La Ferté-sous-Jouarre", ["la ferté sous jouarre"], True),
        ("金継ぎは漆で直す", ["漆"], True),
        ("", ["a"], False),
        ("anything", [""], False),
    ],
)
def test_facts_are_compared_token_by_token(text: str, wordings: list[str], stated: bool) -> None:
    """Case, plural, possessive, marks and the comma of thousands do not matter; parts of numbers and words do."""
    assert states(text, wordings) is stated


def test_token_f1_of_a_worked_example() -> None:
    """Two of four words and of three are shared: precision 1/2, recall 2/3, F1 4/7; articles do not count."""
    assert token_f1("the keys rotate every quarter", "keys rotate rarely") == pytest.approx(4 / 7)
    assert token_f1("", "keys") == 0.0
    assert token_f1("key key key", "key") == pytest.approx(2 / 4)


def test_a_right_answer() -> None:
    """Both facts, one right and one wrong citation, one supported sentence of two."""
    given = answer("Signing keys are rotated every 90 days by the engineer [1]. Whales sing loudly [2].", 1, 2)
    judged = judge_answer(QUESTION, given, ROOT)
    assert judged.facts_found == (True, True)
    assert [each.right for each in judged.citations] == [True, False]
    assert [each.supported for each in judged.sentences] == [False, False]  # the passage says ninety, not 90
    given = replace(given, text=given.text.replace("90", "ninety"))
    judged = judge_answer(QUESTION, given, ROOT)
    assert [each.supported for each in judged.sentences] == [True, False]
    assert judged.measures == {
        "correct": 1.0,
        "facts": 1.0,
        "f1": pytest.approx(2 * 4 / (12 + 4)),  # against the quote, which is nearer than the facts
        "refused_wrongly": 0.0,
        "passage_read": 1.0,
        "citation_recall": 1.0,
        "citation_precision": 0.5,
        "faithfulness": 0.5,
    }


def test_an_answer_that_cites_nothing() -> None:
    """It has no precision, its recall is zero, and no sentence of it is supported."""
    measures = judge_answer(QUESTION, answer("Every ninety days."), ROOT).measures
    assert "citation_precision" not in measures
    assert (measures["citation_recall"], measures["faithfulness"]) == (0.0, 0.0)
    assert (measures["correct"], measures["facts"]) == (0.0, 0.5)


def test_a_refusal() -> None:
    """Right where nothing answers, wrong where something does; then nothing is stated and nothing else is measured."""
    refused = answer("The documents do not say.", answered=False)
    assert judge_answer(NOWHERE, refused, ROOT).measures == {"refused_rightly": 1.0}
    assert judge_answer(NOWHERE, answer("France [1].", 1), ROOT).measures["refused_rightly"] == 0.0
    assert judge_answer(QUESTION, refused, ROOT).measures == {
        "correct": 0.0,
        "facts": 0.0,
        "f1": 0.0,
        "refused_wrongly": 1.0,
        "passage_read": 1.0,
    }


def test_the_golden_passage_must_be_among_those_read() -> None:
    """A hit that the model did not get to read does not count; half of the quote at a passage's edge does."""
    given = replace(answer("Every ninety days [2].", 2), hits=tuple(reversed(hits())), passages_read=1)
    assert judge_answer(QUESTION, given, ROOT).measures["passage_read"] == 0.0
    edge = (make.hit("Signing keys are rotated every nin", path="/docs/keys.md"),)
    assert judge_answer(QUESTION, replace(given, hits=edge), ROOT).measures["passage_read"] == 1.0
    less = (make.hit("Signing keys are rota", path="/docs/keys.md"),)
    assert judge_answer(QUESTION, replace(given, hits=less), ROOT).measures["passage_read"] == 0.0
    elsewhere = (make.hit(KEYS, path="/docs/other.md"),)
    assert judge_answer(QUESTION, replace(given, hits=elsewhere), ROOT).measures["passage_read"] == 0.0


def test_facts_are_read_in_three_forms(tmp_path: Path) -> None:
    """A text, a list of texts, a list of lists of wordings; anything else is named with its line."""
    path = tmp_path / "golden.jsonl"
    lines = [{"question": "q", "path": "a", "quote": "x", "answer": each} for each in ("a", ["a", ["b", "c"]])]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert [each.answer for each in read_golden(path)] == [(("a",),), (("a",), ("b", "c"))]
    for bad in (1, [[]], [["a", 1]], {"a": 1}):
        path.write_text(json.dumps({"question": "q", "path": "a", "quote": "x", "answer": bad}))
        with pytest.raises(UsageError, match=r"golden\.jsonl:1: not a golden question: .*'answer'"):
            read_golden(path)


def streamed(*pieces: str) -> Reply:
    texts = [{"message": {"role": "assistant", "content": piece}, "done": False} for piece in pieces]
    last = {"message": {"content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 2}
    return Reply(pieces=(lines(*texts, last),))


def test_replies_are_kept_by_the_whole_request(tmp_path: Path) -> None:
    """The same request is answered from the disk, with its times; another prompt, option or digest asks the server."""
    with scripted_server() as script, Client(script.url, retry=RetryPolicy.none()) as client:
        script.answers = [as_json({"done": True}), streamed("Hello", " there")]
        messages = [{"role": "user", "content": "hi"}]

        def asked(kept: KeptReplies, **fields: Any) -> str:
            return "".join(piece.message.content for piece in kept.chat_stream("m", messages, **fields))

        first = KeptReplies(client, tmp_path, digest="a")
        assert asked(first, options={"num_ctx": 4096}) == "Hello there"
        assert [each.path for each in script.asked] == ["/api/generate", "/api/chat"]
        assert script.asked[0].body["options"] == {"num_ctx": 4096}
        again = KeptReplies(client, tmp_path, digest="a")
        before, started = again.seconds(), time.perf_counter()
        assert asked(again, options={"num_ctx": 4096}) == "Hello there"
        assert (again.asked, len(script.asked)) == (0, 2)
        taken = again.seconds() - before - (time.perf_counter() - started)
        kept = json.loads(next(tmp_path.rglob("*.json")).read_text())["pieces"]
        assert taken == pytest.approx(kept[-1][0], abs=1e-3)
        script.answers = [as_json({"done": True}), streamed("Hello"), streamed("Hello")]
        for changed in ({"options": {"num_ctx": 8192}}, {"options": {"num_ctx": 4096}, "format": "json"}):
            asked(again, **changed)
        script.answers = [as_json({"done": True}), streamed("Hello")]
        asked(KeptReplies(client, tmp_path, digest="b"), options={"num_ctx": 4096})
        assert sum(each.path == "/api/chat" for each in script.asked) == 4


def test_a_reply_that_breaks_off_is_not_kept(tmp_path: Path) -> None:
    """Nor is a damaged file taken for one."""
    with scripted_server() as script, Client(script.url, retry=RetryPolicy.none()) as client:
        begun = Reply(pieces=(lines({"message": {"content": "Hel"}, "done": False}),), cut=True)
        script.answers = [as_json({"done": True}), begun, streamed("Hello")]
        kept = KeptReplies(client, tmp_path, digest="a")
        with pytest.raises(StreamInterrupted):
            list(kept.chat_stream("m", []))
        assert list(tmp_path.rglob("*.json")) == []
        list(kept.chat_stream("m", []))
        (file,) = tmp_path.rglob("*.json")
        whole = file.read_bytes()
        file.write_bytes(whole[:-5])
        script.answers = [as_json({"done": True}), streamed("Hello")]
        list(KeptReplies(client, tmp_path, digest="a").chat_stream("m", []))
        assert json.loads(file.read_bytes())["pieces"][-1][1]["done"] is True


@pytest.fixture(scope="session")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two documents and three golden questions, one of which nothing answers."""
    folder = tmp_path_factory.mktemp("answers") / "docs"
    folder.mkdir()
    (folder / "keys.md").write_text(KEYS)
    (folder / "bread.md").write_text(BREAD)
    bread = {"question": "How long does the dough rest?", "path": "bread.md", "quote": "four hours", "answer": "four"}
    keys = {"question": QUESTION.question, "path": "keys.md", "quote": QUESTION.quote, "answer": ["ninety days"]}
    nowhere = {"question": "Who won the chess tournament?", "path": None, "quote": None}
    (folder / "golden.jsonl").write_text("\n".join(map(json.dumps, (keys, bread, nowhere))))
    return folder


@pytest.fixture(scope="session")
def collection(docs: Path, models_folder: Path) -> Any:
    config = Config(home=docs.parent / "home", host="embedded", models=models_folder)
    with Collection("notes", config) as collection:
        collection.index(docs)
        yield collection


def test_real_answers_are_measured_and_a_rerun_asks_nothing(collection: Collection, docs: Path) -> None:
    """Every question of a real model has its measures and costs; the second run has the same, without a request."""
    questions = read_golden(docs / "golden.jsonl")

    def run() -> AnswerRun:
        return next(run_answers(questions, docs, collection, chat_models=[CHAT_MODEL], modes=["hybrid"]))

    first = run()
    assert len(first.digest) == 64
    for result in first.results:
        assert result.answer is not None
        assert result.costs["prompt_tokens"] > 50
        assert 0 < result.costs["seconds"] < 600
    assert first.results[0].values["passage_read"] == 1.0
    assert {"correct", "refused_wrongly"} <= first.results[1].values.keys()
    assert first.values("refused_rightly") in ([0.0], [1.0])
    files = sorted((collection.config.home / "evaluation" / "replies").rglob("*.json"))
    second = run()
    assert sorted((collection.config.home / "evaluation" / "replies").rglob("*.json")) == files
    assert [each.answer for each in second.results] == [each.answer for each in first.results]
    for one, other in zip(first.results, second.results, strict=True):
        assert one.judgement == other.judgement
        assert one.costs["seconds"] == pytest.approx(other.costs["seconds"], abs=1.0)


def test_prompts_and_plans_make_runs_of_their_own(collection: Collection, docs: Path) -> None:
    """A run for each, told apart by its mode and prompt; a question that is not compound is asked once, plan or not."""
    questions = read_golden(docs / "golden.jsonl")[:1]
    runs = list(
        run_answers(
            questions,
            docs,
            collection,
            chat_models=[CHAT_MODEL],
            modes=["hybrid"],
            plans=[None, "split"],
            prompts=["plain", "grammar"],
        )
    )
    told = [(row["mode"], row["prompt"]) for row in AnswerComparison.of(runs).to_json()]
    assert told == [
        ("hybrid", "plain"),
        ("hybrid", "grammar"),
        ("hybrid+split", "plain"),
        ("hybrid+split", "grammar"),
    ]
    plain, forced, split, _ = [run.results[0].answer for run in runs]
    assert plain == split
    assert plain is not None
    assert forced is not None
    assert plain.hits == forced.hits
    assert "{" not in forced.text


def test_plans_are_made_once(collection: Collection, docs: Path) -> None:
    """The second evaluation has the same measures, from plans that were kept."""
    folder = collection.config.home / "evaluation" / "replies"

    def run() -> list[Run]:
        task = GoldenTask(docs / "golden.jsonl", read_golden(docs / "golden.jsonl"))
        return list(run_modes(task, collection, ["hybrid"], plans=["split", "multi-query"]))

    before = set(folder.rglob("*.json"))
    first = run()
    assert [each.mode for each in first] == ["hybrid", "hybrid+split", "hybrid+multi-query"]
    assert first[0].by_query == first[1].by_query
    made = set(folder.rglob("*.json"))
    assert len(made - before) == 2
    assert run() == first
    assert set(folder.rglob("*.json")) == made


def result(question: GoldenQuestion, given: Answer) -> AnswerResult:
    return AnswerResult(
        question=question, answer=given, judgement=judge_answer(question, given, ROOT), costs={"seconds": 1.5}
    )


class Page(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


EVIL = "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)> & </pre></style>"


def test_report_holds_everything_and_nothing_becomes_html(tmp_path: Path) -> None:
    """Hostile questions, answers, documents, paths and names of models stand in the page as text; it loads nothing."""
    question = replace(QUESTION, question=f"Keys? {EVIL}", answer=((EVIL,),), quote=EVIL)
    evil_hit = replace(make.hit(f"{KEYS} {EVIL}", path=f"/docs/{EVIL}"), heading=EVIL)
    given = replace(
        answer(f"Said {EVIL} loudly [1]."),
        hits=(evil_hit,),
        citations=(citation(1, evil_hit, EVIL),),
        notices=(EVIL,),
    )
    failed = AnswerResult(question=NOWHERE, answer=None, judgement=None, costs={}, error=EVIL)
    run = AnswerRun(chat_model=EVIL, digest="d", mode="hybrid", results=(result(question, given), failed))
    path = tmp_path / "report.html"
    write_report(path, [EVIL], AnswerComparison.of([run]), title=f"Title {EVIL}")
    content = path.read_text()
    page = Page(content)
    assert not {"script", "img", "link", "iframe", "object", "form", "a", "base", "svg"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in {"src", "href", "style"} or name.startswith("on")]
    assert (
        "content",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    ) in page.attributes
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert KEYS in page.text
    assert page.tags.count("article") == 2


def test_report_marks_right_and_wrong(tmp_path: Path) -> None:
    """Each verdict is in words; what is not supported is underlined; both runs of a question stand together."""
    right = answer("Signing keys are rotated every ninety days by the engineer [1].", 1)
    wrong = answer("Every ninety days, whales sing [2].", 2)
    refused = answer("The documents do not say.", answered=False)
    runs = [
        AnswerRun(
            chat_model="a", digest="", mode="hybrid", results=(result(QUESTION, right), result(NOWHERE, refused))
        ),
        AnswerRun(chat_model="b", digest="", mode="hybrid", results=(result(QUESTION, wrong), result(NOWHERE, wrong))),
    ]
    comparison = AnswerComparison.of(runs)
    assert comparison.differences[1]["correct"].mean == -1.0
    write_report(tmp_path / "report.html", ["a", "b"], comparison, title="t")
    page = (tmp_path / "report.html").read_text()
    for words in ("✓ correct", "✗ lacks engineer", "✓ refused rightly", "✗ answered, though nothing answers it"):
        assert words in page
    assert '<pre><span class="unsupported">Every ninety days, whales sing [2].</span></pre>' in page
    assert f"<pre>{right.text}</pre>" in page
    assert re.findall(r"<h3>(.)</h3>", page) == ["a", "b", "a", "b"]


def test_report_that_cannot_be_written_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    """The folder must be there."""
    with pytest.raises(UsageError, match="no such folder"):
        write_report(
            tmp_path / "nowhere" / "r.html", [], AnswerComparison(runs=(), intervals=(), differences=()), title=""
        )


@pytest.fixture
def command(collection: Collection, docs: Path, models_folder: Path) -> Callable[..., Any]:
    """Starts `pipeline eval` over the collection with its home."""

    def start(*arguments: str | Path, **settings: Any) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PIPELINE_HOME": str(collection.config.home),
            "OLLAMA_MODELS": str(models_folder),
            "OLLAMA_HOST": "embedded",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", "eval", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=docs.parent,
            **settings,
        )

    return start


def test_command_prints_a_table_json_and_a_report(command: Callable[..., Any], docs: Path, tmp_path: Path) -> None:
    """The table has each measure with its interval; --json has runs and questions; the report is written."""
    options = (docs / "golden.jsonl", "-c", "notes", "--answers", "--chat-model", CHAT_MODEL)
    with command(*options, "--report", tmp_path / "r.html") as process:
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "refused rightly" in out
    assert re.search(r"correct +\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\] of 2", out)
    assert "every answer is in" in err
    assert QUESTION.question in (tmp_path / "r.html").read_text()
    with command(*options, "--json") as process:
        out, err = process.communicate(timeout=200)
    document = json.loads(out)
    assert document["queries"] == 3
    assert document["runs"][0]["counted"]["refused_rightly"] == 1
    assert [each["answer"] for each in document["questions"]] == [[["ninety days"]], [["four"]], []]
    assert document["questions"][0]["runs"][0]["values"]["passage_read"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--answers", "--draft", "3"], "cannot be combined"),
        (["--answers", "--chunker", "fixed"], "cannot be combined"),
        (["--report", "r.html"], "--report goes with --answers"),
        (["--chat-model", "m"], "--chat-model goes with --answers"),
        (["--prompt", "grammar"], "--prompt goes with --answers"),
        (["--answers", "--report", "nowhere/r.html"], "no such folder"),
        (["--answers", "-c", "nowhere"], "nowhere"),
        (["--answers", "--chat-model", "no-such-model", "--no-pull"], "no-such-model"),
    ],
)
def test_mistakes(command: Callable[..., Any], docs: Path, arguments: list[str], complaint: str) -> None:
    """One line and a hint, no traceback, nothing on stdout."""
    with command(docs / "golden.jsonl", *(["-c", "notes"] if "-c" not in arguments else []), *arguments) as process:
        out, err = process.communicate(timeout=100)
    assert process.returncode in (1, 2)
    assert complaint in err
    assert "hint: " in err
    assert "Traceback" not in err
    assert out == ""


def test_interrupt_keeps_what_was_answered(command: Callable[..., Any], docs: Path, collection: Collection) -> None:
    """Ctrl-C in mid-run ends with 130; the answers that had come are not asked for again."""
    many = docs / "many.jsonl"
    questions = [
        {"question": f"How often are the signing keys of group {number} rotated?", "path": None, "quote": None}
        for number in range(200)
    ]
    many.write_text("\n".join(map(json.dumps, questions)))
    replies = collection.config.home / "evaluation" / "replies"
    before = len(list(replies.rglob("*.json")))
    options = (many, "-c", "notes", "--answers", "--chat-model", CHAT_MODEL, "-k", "1")
    with command(*options, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while len(list(replies.rglob("*.json"))) < before + 1:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "every answer so far is kept; run it again to go on" in err
    kept = len(list(replies.rglob("*.json")))
    assert before + 1 <= kept < before + 200
    for file in replies.rglob("*.json"):
        assert json.loads(file.read_text())["pieces"][-1][1]["done"] is True
    assert not list(replies.rglob(".*.tmp"))
