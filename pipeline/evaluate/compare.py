"""Settings side by side: the same questions asked of collections that differ in model, chunker or mode.

In: a task (a BEIR folder or golden questions), settings. Out: a `Run` for each of their combinations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Protocol

from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.connect import Connection
from pipeline.errors import PipelineError
from pipeline.evaluate.beir import TestCollection
from pipeline.evaluate.cache import FOLDER, DocumentFiles, cached_collection
from pipeline.evaluate.golden import GoldenQuestion, GoldenResult, evaluate_golden
from pipeline.evaluate.replies import kept_planner
from pipeline.evaluate.runs import Run, Search, judge_queries
from pipeline.evaluate.significance import Difference, Interval, difference, interval
from pipeline.ingest import IndexProgress
from pipeline.query import PlanKind, Planner, SearchOptions
from pipeline.types import Hit

UNHURRIED = 3600.0
"""Seconds for a plan, and for reranking the passages of a question: what is measured is how well they rank."""

Judged = tuple[dict[str, dict[str, float]], dict[str, float]]


class Task(Protocol):
    """Questions with what answers them; `queries` is how many there are."""

    name: str
    queries: int

    def documents(self, home: Path) -> tuple[Path, Path]:
        """The home of collections for this task, and the folder of its documents."""
        ...

    def judge(self, search: Search) -> Judged:
        """Measures by query, and the recall of passages where passages are judged."""
        ...


class BeirTask:
    """The queries of a BEIR folder; documents are judged by their best passage."""

    def __init__(self, collection: TestCollection) -> None:
        self.name = collection.name
        self.queries = len(collection.queries)
        self._collection = collection
        self._files: DocumentFiles | None = None

    def documents(self, home: Path) -> tuple[Path, Path]:
        if self._files is None:
            self._files = DocumentFiles(home, self._collection)
        return self._files.home, self._files.folder

    def judge(self, search: Search) -> Judged:
        assert self._files is not None
        return judge_queries(self._collection.queries, self._collection.relevance, search, self._files.name_of), {}


class GoldenTask:
    """Golden questions; their documents are those of the folder `root`. `results` are those of the first run."""

    def __init__(self, path: Path, questions: Sequence[GoldenQuestion]) -> None:
        self.name = str(path)
        self.root = path.parent.absolute().resolve()
        self.queries = sum(question.path is not None for question in questions)
        self.results: tuple[GoldenResult, ...] = ()
        self._questions = questions

    def documents(self, home: Path) -> tuple[Path, Path]:
        key = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return home / FOLDER / f"golden-{key}", self.root

    def judge(self, search: Search) -> Judged:
        report = evaluate_golden(self._questions, self.root, search)
        self.results = self.results or report.results
        by_query = {str(number): result.measures for number, result in enumerate(report.results)}
        return by_query, report.passage_recall


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs with 95 % intervals of their measures, and how each differs from the first."""

    runs: tuple[Run, ...]
    intervals: tuple[dict[str, Interval], ...] = field(default=())
    differences: tuple[dict[str, Difference], ...] = field(default=())

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Comparison:
        """Draws the intervals up; `differences[0]` is empty."""
        names = list(runs[0].measures)
        intervals = tuple({name: interval(run.values(name)) for name in names} for run in runs)
        differences = tuple(
            {name: difference(run.values(name), runs[0].values(name)) for name in names} for run in runs[1:]
        )
        return cls(runs=tuple(runs), intervals=intervals, differences=({}, *differences))

    def to_json(self) -> list[dict[str, Any]]:
        """As `eval --json` lists its runs."""
        return [
            {
                "mode": run.mode,
                "model": run.model,
                "chunker": run.chunker,
                **run.measures,
                "passage": run.passages,
                "intervals": {name: _rounded(asdict(each)) for name, each in intervals.items()},
                "difference": {name: _rounded(asdict(each)) for name, each in differences.items()},
            }
            for run, intervals, differences in zip(self.runs, self.intervals, self.differences, strict=True)
        ]


def run_settings(
    task: Task,
    config: Config,
    *,
    models: Sequence[str],
    chunkers: Sequence[str],
    modes: Sequence[str],
    parent: str | None = None,
    plans: Sequence[PlanKind] = (),
    rerank: str | None = None,
    connector: Callable[[Config], Connection],
    progress: IndexProgress | None = None,
) -> Iterator[Run]:
    """A run for every combination, each in a collection that is kept for the next evaluation."""
    home, documents = task.documents(config.home)
    for model, chunker in product(models, chunkers):
        chosen = replace(config, model=model)
        with cached_collection(
            home, documents, chosen, chunker=chunker, connector=connector, progress=progress
        ) as collection:
            yield from run_modes(task, collection, modes, parent=parent, plans=plans, rerank=rerank)


def run_modes(
    task: Task,
    collection: Collection,
    modes: Sequence[str],
    *,
    parent: str | None = None,
    plans: Sequence[PlanKind] = (),
    rerank: str | None = None,
) -> Iterator[Run]:
    """A run for every mode of searching a collection, and for every plan; with `rerank` each also with hits judged.

    What a chat model plans is kept below `<home>/evaluation`.
    """
    manifest = collection.snapshot.manifest
    for mode, plan, judge in product(modes, (None, *plans), (None, rerank) if rerank else (None,)):
        planner = kept_planner(collection, plan) if plan else None
        search = partial(_search, collection, mode, parent, planner, judge)
        by_query, passages = task.judge(search)
        yield Run(
            mode="+".join([mode, *([plan] if plan else []), *(["rerank"] if judge else [])]),
            model=manifest.model.name,
            chunker=manifest.chunker,
            by_query=by_query,
            passages=passages,
        )


def _search(
    collection: Collection,
    mode: str,
    parent: str | None,
    planner: Planner | None,
    rerank: str | None,
    query: str,
    k: int,
) -> Sequence[Hit]:
    options = SearchOptions(
        k=k,
        mode=mode,  # type: ignore[arg-type]  # a choice of MODES
        parent=parent,
        plan_seconds=UNHURRIED,
        rerank=rerank,
        rerank_seconds=UNHURRIED,
    )
    found = collection.find(query, options, planner=planner)
    if rerank and found.notices:
        raise PipelineError(found.notices[0], hint="figures of a part of the passages would mislead")
    return found.hits


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
