"""`pipeline eval`: quality of retrieval or of answers on golden questions or a BEIR folder, settings side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from pipeline.answer import PROMPTS, USUAL_PASSAGES, Prompt, choose_chat_model
from pipeline.cli.evaluate_answers import measure_answers
from pipeline.cli.index_bars import IndexBars
from pipeline.cli.options import collection_option, server_options, shared_options
from pipeline.cli.reporting import notice, print_json, shown_path
from pipeline.cli.session import announce, open_for_command
from pipeline.config import DEFAULT_MODEL, Config
from pipeline.errors import UsageError
from pipeline.evaluate import (
    BeirTask,
    Comparison,
    GoldenTask,
    Run,
    draft_questions,
    is_test_collection,
    plot_comparison,
    question_line,
    read_golden,
    read_test_collection,
    require_plot,
    run_modes,
    run_settings,
)
from pipeline.query import MODES, PLANS, Mode, PlanKind
from pipeline.store import Snapshot

COLUMNS = ("ndcg@10", "recall@10", "recall@100", "mrr@10", "map")
DEFAULT_CHUNKER = "structure"


@click.command("eval", short_help="Measure retrieval or answers on golden questions or a BEIR folder.")
@click.argument("golden", type=click.Path(path_type=Path))
@collection_option
@click.option("--model", "models", multiple=True, metavar="NAME", help="Embedding model; several are compared.")
@click.option(
    "--chunker",
    "chunkers",
    multiple=True,
    metavar="NAME[:TOKENS[:OVERLAP]]",
    help="How documents are cut; several are compared.",
)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice(MODES),
    help=f"How to search; several are compared.  [default: {MODES[0]}]",
)
@click.option("--parent", metavar="section|N", help="What is shown around a passage, as in `search`.")
@click.option(
    "--plan",
    "plans",
    multiple=True,
    type=click.Choice(PLANS),
    help="Each mode also with a plan, as in `search`; several are compared.",
)
@click.option("--rerank", metavar="MODEL", help="Each mode also with its best passages judged, as in `search`.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the comparison: .png, .svg, .pdf.")
@click.option(
    "--draft", type=click.IntRange(min=1), metavar="N", help="Write N questions to GOLDEN, for you to review."
)
@click.option("--answers", is_flag=True, help="Measure the answers of chat models rather than retrieval.")
@click.option(
    "--chat-model",
    "chat_models",
    multiple=True,
    metavar="NAME",
    help="Chat model for --answers, several are compared; or the one that plans, or draws up questions.",
)
@click.option(
    "-k", "k", type=click.IntRange(min=1), default=USUAL_PASSAGES, show_default=True, help="Passages for each answer."
)
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    type=click.Choice(PROMPTS),
    help=f"How --answers asks for an answer; several are compared.  [default: {PROMPTS[0]}]",
)
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE", help="Write every question and answer as HTML."
)
@server_options
@shared_options
def evaluate(
    golden: Path,
    name: str,
    models: tuple[str, ...],
    chunkers: tuple[str, ...],
    modes: tuple[Mode, ...],
    parent: str | None,
    plans: tuple[PlanKind, ...],
    rerank: str | None,
    plot: Path | None,
    draft: int | None,
    answers: bool,
    chat_models: tuple[str, ...],
    k: int,
    prompts: tuple[Prompt, ...],
    report: Path | None,
    config: Config,
    as_json: bool,
) -> int:
    """Measure how well the search finds what GOLDEN says it should, and compare settings.

    GOLDEN is a file of JSON lines {"question", "path", "quote"}, with paths relative to its folder, or a folder in the
    layout of BEIR: corpus.jsonl, queries.jsonl, qrels/test.tsv. Questions whose path is null are left out. Measures
    are by document: one ranks as its best passage does. Passage recall counts passages that hold the quote.

    Golden questions are asked of collection -c, unless --model or --chunker ask for others: then, as for a BEIR
    folder, the documents are indexed into collections of their own below the home, which are kept.

    With --answers chat models answer all questions from collection -c, and what they answer, cite and refuse is
    measured. Their replies are kept below the home: what was asked before is not asked again.
    """
    started = time.perf_counter()
    _require_sense(golden, models, chunkers, chat_models, plans, prompts, plot, draft, report, answers=answers)
    if draft is not None:
        chosen = replace(config, chat_model=chat_models[0]) if chat_models else config
        return _draft(golden, name, draft, chosen, as_json=as_json)
    if answers:
        return measure_answers(
            golden,
            read_golden(golden),
            name,
            config,
            chat_models=chat_models,
            modes=modes or MODES[:1],
            plans=plans,
            prompts=prompts,
            k=k,
            report=report,
            as_json=as_json,
        )
    if plot is not None:
        require_plot(plot)
    if chat_models:
        config = replace(config, chat_model=chat_models[0])
    task, runs = _run(
        golden, name, models, chunkers, modes or MODES[:1], config, parent=parent, plans=plans, rerank=rerank
    )
    comparison = Comparison.of(runs)
    labels = _labels(runs)
    if plot is not None:
        plot_comparison(plot, labels, comparison, title=f"{task.name}, {task.queries} queries")
    seconds = round(time.perf_counter() - started, 3)
    results = task.results if isinstance(task, GoldenTask) else ()
    if as_json:
        questions = [
            {**asdict(each.question), "document_rank": each.document_rank, "passage_rank": each.passage_rank}
            for each in results
        ]
        print_json(
            {
                "dataset": task.name,
                "queries": task.queries,
                "runs": comparison.to_json(),
                "questions": questions,
                "seconds": seconds,
            }
        )
        return 0
    click.echo(f"{task.name}: {task.queries} queries, {seconds:.1f} s; in brackets what 95 % of resamplings give")
    _print_table(labels, comparison)
    for result in results:
        if result.document_rank != 1:
            found = f"rank {result.document_rank}" if result.document_rank else "not found"
            click.echo(f"  {found}: {result.question.question} ({result.question.path})")
    return 0


def _require_sense(
    golden: Path,
    models: Sequence[str],
    chunkers: Sequence[str],
    chat_models: Sequence[str],
    plans: Sequence[str],
    prompts: Sequence[str],
    plot: Path | None,
    draft: int | None,
    report: Path | None,
    *,
    answers: bool,
) -> None:
    """Raises UsageError for options that exclude each other."""
    if not answers:
        if prompts:
            raise UsageError("--prompt goes with --answers", hint="add --answers")
        if report is not None:
            raise UsageError("--report goes with --answers", hint="add --answers, or take --plot")
        if len(chat_models) > 1 or (chat_models and draft is None and not plans):
            hint = "add --answers"
            raise UsageError("--chat-model goes with --answers, or one of them with --draft or --plan", hint=hint)
        return
    if draft is not None or plot is not None or models or chunkers:
        raise UsageError(
            "--answers cannot be combined with --draft, --plot, --model or --chunker",
            hint="answers are measured on collection -c as it stands; index another one to compare",
        )
    if is_test_collection(golden):
        raise UsageError(f"{golden} has no answers to compare with", hint="--answers takes a file of golden questions")


def _run(
    golden: Path,
    name: str,
    models: Sequence[str],
    chunkers: Sequence[str],
    modes: Sequence[str],
    config: Config,
    *,
    parent: str | None,
    plans: Sequence[PlanKind],
    rerank: str | None,
) -> tuple[BeirTask | GoldenTask, list[Run]]:
    if is_test_collection(golden):
        task = BeirTask(read_test_collection(golden))
    else:
        questions = read_golden(golden)
        task = GoldenTask(golden, questions)
        if not models and not chunkers:
            with open_for_command(name, config) as collection:
                _require_documents(task, [each.path for each in questions if each.path], collection.snapshot)
                return task, list(run_modes(task, collection, modes, parent=parent, plans=plans, rerank=rerank))
    with IndexBars() as bars:
        runs = run_settings(
            task,
            config,
            models=models or (config.model or DEFAULT_MODEL,),
            chunkers=chunkers or (DEFAULT_CHUNKER,),
            modes=modes,
            parent=parent,
            plans=plans,
            rerank=rerank,
            connector=announce,
            progress=bars,
        )
        return task, list(runs)


def _draft(golden: Path, name: str, count: int, config: Config, *, as_json: bool) -> int:
    """Writes questions to a new file. Returns the exit status."""
    if golden.exists():
        raise UsageError(f"{golden} exists already", hint="name a new file for the drafts")
    folder = golden.parent.absolute().resolve()
    rejected: list[dict[str, str]] = []
    made = 0
    with open_for_command(name, config) as collection:
        snapshot, client = collection.snapshot, collection.connection.client
        model = choose_chat_model(client, config.chat_model)
        drafts = draft_questions(
            snapshot,
            client,
            model,
            count,
            folder=folder,
            on_rejected=lambda path, why: rejected.append({"path": path, "why": why}),
        )
        try:
            with golden.open("x", encoding="utf-8", newline="\n") as file:
                for question in drafts:
                    file.write(question_line(question) + "\n")
                    file.flush()
                    made += 1
        except OSError as error:
            raise UsageError(
                f"cannot write {golden}: {error.strerror}", hint="name a file that can be written"
            ) from error
    if as_json:
        print_json({"file": str(golden.absolute()), "model": model, "questions": made, "rejected": rejected})
    else:
        click.echo(f"{made} questions by {model} in {golden}; {len(rejected)} drafts were dropped")
        for each in rejected:
            click.echo(f"  dropped, as it {each['why']}: {shown_path(each['path'])}")
        notice("read them before you rely on them: keep what a user would ask, correct or delete the rest")
    return 0 if made == count else 1


def _labels(runs: Sequence[Run]) -> list[str]:
    """What tells each run from the others, and its mode at least."""
    labels: list[str] = []
    for run in runs:
        parts = [run.mode]
        if len({each.model for each in runs}) > 1:
            parts.append(run.model)
        if len({str(each.chunker) for each in runs}) > 1:
            parts.append(_chunker_label(run.chunker))
        labels.append(" ".join(parts))
    return labels


def _chunker_label(chunker: Any) -> str:
    numbers = [chunker["max_tokens"], chunker.get("overlap_tokens", 0)]
    return ":".join([str(chunker["strategy"]), *(str(number) for number in numbers if number)])


def _print_table(labels: Sequence[str], comparison: Comparison) -> None:
    width = max(len("run"), *map(len, labels))
    click.echo("  ".join([f"{'run':<{width}}", *(f"{column:<19}" for column in COLUMNS)]).rstrip())
    for label, intervals in zip(labels, comparison.intervals, strict=True):
        cells = [f"{each.mean:.4f} [{each.low:.2f}, {each.high:.2f}]" for each in (intervals[name] for name in COLUMNS)]
        click.echo("  ".join([f"{label:<{width}}", *(f"{cell:<19}" for cell in cells)]).rstrip())
    for run, label in zip(comparison.runs, labels, strict=True):
        if run.passages:
            shares = ", ".join(f"{name} {value:.4f}" for name, value in run.passages.items())
            click.echo(f"passages, {label}: {shares}")
    for label, differences in list(zip(labels, comparison.differences, strict=True))[1:]:
        each = differences[COLUMNS[0]]
        bounds = f"[{each.low:+.4f}, {each.high:+.4f}]"
        click.echo(f"{label} against {labels[0]}, {COLUMNS[0]}: {each.mean:+.4f} {bounds}, p {each.p:.3f}")


def _require_documents(task: GoldenTask, paths: Sequence[str], snapshot: Snapshot) -> None:
    """Says which documents of the questions are not in the collection; none of them there is a mistake."""
    wanted = {str((task.root / path).resolve()) for path in paths}
    missing = wanted - {document.row.path for document in snapshot.documents()}
    if wanted and missing == wanted:
        raise UsageError(
            f"collection {snapshot.name!r} has none of the documents that the questions name",
            hint="choose the collection with -c, or index the folder of the questions first",
        )
    if missing:
        notice(f"{len(missing)} of {len(wanted)} documents that the questions name are not in the collection")
