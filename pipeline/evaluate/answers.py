"""Answers measured: every golden question put to chat models over one collection, judged, side by side.

In: golden questions, a collection, chat models. Out: an `AnswerRun` for each model and mode, an `AnswerComparison`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.answer import USUAL_PASSAGES, Prompt, answer_with_model
from pipeline.collection import Collection
from pipeline.errors import ApiError, ModelNotFound, NotSupported, PullFailed, ServerUnreachable
from pipeline.evaluate.compare import UNHURRIED
from pipeline.evaluate.golden import GoldenQuestion
from pipeline.evaluate.judging import MEASURES, Judgement, judge_answer
from pipeline.evaluate.measures import mean
from pipeline.evaluate.replies import KeptReplies, kept_planner, kept_replies
from pipeline.evaluate.significance import Difference, Interval, difference, interval
from pipeline.query import Mode, PlanKind, SearchOptions
from pipeline.types import Answer, Hit

if TYPE_CHECKING:
    from pipeline.api import Client
    from pipeline.embed import Embedder

HOPELESS = (ModelNotFound, NotSupported, PullFailed, ServerUnreachable)
"""Errors that the next question would meet again."""

FIRST_TEXT, SECONDS = "first_text_seconds", "seconds"
PROMPT_TOKENS, ANSWER_TOKENS = "prompt_tokens", "answer_tokens"
COSTS = (FIRST_TEXT, SECONDS, PROMPT_TOKENS, ANSWER_TOKENS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerResult:
    """A question with its answer, judged; without both, `error` says why there are none.

    `costs` are seconds until the first text was shown and until the answer was whole, from when its passages had been
    found and with the model loaded, and tokens as the server counted them. What is not known is left out.
    """

    question: GoldenQuestion
    answer: Answer | None
    judgement: Judgement | None
    costs: dict[str, float]
    error: str = ""

    @property
    def values(self) -> dict[str, float]:
        """Measures and costs. A question whose answer failed counts with the measures of the worst one."""
        if self.judgement is not None:
            return {**self.judgement.measures, **self.costs}
        if self.question.path is None:
            return {"refused_rightly": 0.0}
        return {"correct": 0.0, "facts": 0.0, "f1": 0.0} if self.question.answer else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRun:
    """One chat model's answers to all questions, from passages found in one mode, asked for by one prompt.

    `digest` is the model's; `prompt` is empty where it was the model's usual one.
    """

    chat_model: str
    digest: str
    mode: str
    results: tuple[AnswerResult, ...]
    prompt: str = ""

    def values(self, measure: str) -> list[float]:
        """A measure of the questions that have it, in their order."""
        return [value[measure] for value in (result.values for result in self.results) if measure in value]

    @property
    def measures(self) -> dict[str, float]:
        """The means, each over the questions that have the measure, to four places; those of none are left out."""
        return {name: round(mean(values), 4) for name in (*MEASURES, *COSTS) if (values := self.values(name))}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerComparison:
    """Runs with 95 % intervals of their measures, and how each differs from the first on questions that both have."""

    runs: tuple[AnswerRun, ...]
    intervals: tuple[dict[str, Interval], ...]
    differences: tuple[dict[str, Difference], ...]

    @classmethod
    def of(cls, runs: Sequence[AnswerRun]) -> AnswerComparison:
        """Draws the intervals up; `differences[0]` is empty."""
        first = runs[0]
        return cls(
            runs=tuple(runs),
            intervals=tuple({name: interval(run.values(name)) for name in run.measures} for run in runs),
            differences=({}, *(_differences(run, first) for run in runs[1:])),
        )

    def to_json(self) -> list[dict[str, Any]]:
        """As `eval --answers --json` lists its runs."""
        return [
            {
                "chat_model": run.chat_model,
                "digest": run.digest,
                "mode": run.mode,
                "prompt": run.prompt,
                "measures": run.measures,
                "counted": {name: len(run.values(name)) for name in run.measures},
                "intervals": {name: _rounded(asdict(each)) for name, each in intervals.items()},
                "difference": {name: _rounded(asdict(each)) for name, each in differences.items()},
            }
            for run, intervals, differences in zip(self.runs, self.intervals, self.differences, strict=True)
        ]


def run_answers(
    questions: Sequence[GoldenQuestion],
    root: Path,
    collection: Collection,
    *,
    chat_models: Sequence[str],
    modes: Sequence[Mode],
    plans: Sequence[PlanKind | None] = (None,),
    prompts: Sequence[Prompt | None] = (None,),
    k: int = USUAL_PASSAGES,
    on_result: Callable[[AnswerResult], None] = lambda _: None,
) -> Iterator[AnswerRun]:
    """A run for every chat model, mode, plan and prompt; replies are kept below `<home>/evaluation` as they come.

    `on_result` gets every result at once. An answer that fails is noted, and the next question asked.

    Raises ApiError where no further question could be answered either; all that came before is kept.
    """
    for model in chat_models:
        kept = kept_replies(collection, model)
        for mode, plan, prompt in product(modes, plans, prompts):
            options = SearchOptions(k=k, mode=mode, plan_seconds=UNHURRIED)
            planner = kept_planner(collection, plan) if plan else None
            results: list[AnswerResult] = []
            for question in questions:
                found = collection.find(question.question, options, planner=planner)
                results.append(_answered(question, root, kept, model, found.hits, collection.embedder, prompt))
                on_result(results[-1])
            yield AnswerRun(
                chat_model=model,
                digest=kept.digest,
                mode=f"{mode}+{plan}" if plan else mode,
                prompt=prompt or "",
                results=tuple(results),
            )


def _answered(
    question: GoldenQuestion,
    root: Path,
    kept: KeptReplies,
    model: str,
    hits: Sequence[Hit],
    embedder: Embedder,
    prompt: Prompt | None,
) -> AnswerResult:
    started = kept.seconds()
    first: list[float] = []

    def on_text(_: str) -> None:
        if not first:
            first.append(kept.seconds() - started)

    try:
        client = cast("Client", kept)
        answer = answer_with_model(
            client, model, question.question, hits, on_text=on_text, embedder=embedder, prompt=prompt
        )
    except HOPELESS:
        raise
    except ApiError as error:
        return AnswerResult(question=question, answer=None, judgement=None, costs={}, error=error.message)
    costs = {SECONDS: kept.seconds() - started, **({FIRST_TEXT: first[0]} if first else {})}
    if answer.usage.prompt_tokens:
        costs |= {PROMPT_TOKENS: answer.usage.prompt_tokens, ANSWER_TOKENS: answer.usage.answer_tokens}
    return AnswerResult(question=question, answer=answer, judgement=judge_answer(question, answer, root), costs=costs)


def _differences(run: AnswerRun, first: AnswerRun) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for name in (*MEASURES, *COSTS):
        pairs = [
            (each.values[name], other.values[name])
            for each, other in zip(run.results, first.results, strict=True)
            if name in each.values and name in other.values
        ]
        if pairs:
            found[name] = difference([value for value, _ in pairs], [other for _, other in pairs])
    return found


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
