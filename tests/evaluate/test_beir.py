"""Evaluation of BEIR folders: what is read, how documents rank, what is kept for the next time, what is compared."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import Config
from pipeline.connect import connect
from pipeline.errors import MissingExtra, UsageError
from pipeline.evaluate import BeirTask, Comparison, Run, plot_comparison, read_test_collection, run_settings
from pipeline.evaluate.runs import ranked_documents
from pipeline.types import Hit
from tests import make
from tests.conftest import EMBEDDING_MODEL

DOCUMENTS = {
    "keys/1": ("Keys", "Signing keys are rotated every ninety days by the engineer on call."),
    "bread": ("", "Let the dough rest for four hours at room temperature, then bake it."),
    "moon": ("The moon", "The moon shows the earth always the same side, as it turns once in a month."),
    "empty": ("", ""),
}
QUERIES = {"q1": "How often are keys changed?", "q2": "How is bread baked?", "q3": "Nobody judged this."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A test collection of four documents, one of them empty, and two queries with judgements."""
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    records = [{"_id": name, "title": title, "text": text} for name, (title, text) in DOCUMENTS.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    queries = [{"_id": name, "text": text} for name, text in QUERIES.items()]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)) + "\n")
    rows = ["query-id\tcorpus-id\tscore", "q1\tkeys/1\t2", "q1\tmoon\t0", "q2\tbread\t1"]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def config(tmp_path: Path, models_folder: Path) -> Config:
    return Config(home=tmp_path / "home", host="embedded", models=models_folder)


def test_queries_without_a_relevant_document_are_left_out(folder: Path) -> None:
    """Judged queries are read with their grades, documents with their titles before them."""
    collection = read_test_collection(folder)
    assert list(collection.queries) == ["q1", "q2"]
    assert collection.relevance["q1"] == {"keys/1": 2, "moon": 0}
    assert dict(collection.documents())["moon"].startswith("The moon\n\nThe moon shows")
    assert dict(collection.documents())["bread"].startswith("Let the dough")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n{"_id": 1}\n', r"corpus\.jsonl:2: '_id' is missing"),
        ("corpus.jsonl", "{", r"corpus\.jsonl:1: not JSON"),
        ("queries.jsonl", "[]\n", r"queries\.jsonl:1: not a JSON object"),
        ("qrels/test.tsv", "q1\tkeys/1\tmuch\n\n", r"no query has a relevant document"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\tkeys/1\n", r"test\.tsv:2: not a judgement"),
    ],
)
def test_faults_name_file_and_line(folder: Path, name: str, content: str, message: str) -> None:
    """What is wrong with a test collection is said with its place."""
    (folder / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        list(read_test_collection(folder).documents())


def test_judgements_of_trec_eval_are_read(folder: Path) -> None:
    """Four columns without a header, in qrels.tsv, mean the same."""
    (folder / "qrels" / "test.tsv").unlink()
    (folder / "qrels.tsv").write_text("q1 0 keys/1 2\nq1 0 moon 0\nq2 0 bread 1\n")
    assert read_test_collection(folder).relevance == {"q1": {"keys/1": 2, "moon": 0}, "q2": {"bread": 1}}


def test_document_ranks_as_its_best_passage_and_enough_are_asked_for() -> None:
    """Where many passages are of one document, more are asked for until there are enough documents."""
    passages = [make.hit("x", rank=rank, path="a" if rank <= 30 else f"b{rank}") for rank in range(1, 61)]
    asked: list[int] = []

    def search(_: str, k: int) -> list[Hit]:
        asked.append(k)
        return passages[:k]

    assert ranked_documents(search, "q", lambda hit: hit.path, depth=10) == ["a", *(f"b{n}" for n in range(31, 40))]
    assert asked == [10, 40]
    assert len(ranked_documents(search, "q", lambda hit: hit.path, depth=50)) == 31


def test_collections_are_kept_and_settings_compared(folder: Path, config: Config) -> None:
    """Two chunkers give two runs over real vectors; a second evaluation embeds no document again."""

    def runs() -> list[Run]:
        task = BeirTask(read_test_collection(folder))
        return list(
            run_settings(
                task,
                config,
                models=[EMBEDDING_MODEL],
                chunkers=["structure", "fixed:16:4"],
                modes=["dense"],
                connector=connect,
            )
        )

    first = runs()
    assert [run.chunker["strategy"] for run in first] == ["structure", "fixed"]
    assert first[0].measures["ndcg@10"] == first[0].measures["map"] == 1.0
    comparison = Comparison.of(first)
    assert comparison.differences[1]["ndcg@10"].mean == pytest.approx(first[1].measures["ndcg@10"] - 1.0)
    written = segments(config.home)
    assert [run.measures for run in runs()] == [run.measures for run in first]
    assert segments(config.home) == written


def segments(home: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in home.rglob("vectors.arrow")}


@pytest.fixture
def comparison() -> Comparison:
    def run(mode: str, value: Callable[[int], float]) -> Run:
        measures = ("ndcg@10", "recall@10", "recall@100", "mrr@10", "map")
        by_query = {str(number): dict.fromkeys(measures, value(number)) for number in range(20)}
        return Run(mode=mode, model="m", chunker={"strategy": "structure"}, by_query=by_query)

    return Comparison.of([run("dense", lambda number: number / 20), run("hybrid", lambda number: (number + 1) / 20)])


def test_comparison_is_drawn(comparison: Comparison, tmp_path: Path) -> None:
    """With the extra the picture is written; without it the error names it. A suffix that is none is refused."""
    path = tmp_path / "plot.svg"
    try:
        plot_comparison(path, ["dense", "hybrid"], comparison, title="small")
    except MissingExtra as error:
        assert error.extra == "plot"
        return
    assert "hybrid" in path.read_text() or "<svg" in path.read_text()
    with pytest.raises(UsageError, match="names no picture"):
        plot_comparison(tmp_path / "plot.xyz", ["dense", "hybrid"], comparison, title="small")
