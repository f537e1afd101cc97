"""`pipeline eval --answers`: what chat models make of golden questions, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from pipeline.answer import Prompt, choose_chat_model
from pipeline.cli.progress import wants_progress
from pipeline.cli.reporting import can_go_on, notice, print_json
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.evaluate import AnswerComparison, AnswerResult, AnswerRun, GoldenQuestion, run_answers, verdict
from pipeline.evaluate.answer_report import require_report, write_report
from pipeline.query import Mode, PlanKind

ROWS = (
    ("correct", "correct"),
    ("facts", "facts stated"),
    ("f1", "token F1"),
    ("citation_precision", "citation precision"),
    ("citation_recall", "citation recall"),
    ("faithfulness", "faithfulness"),
    ("refused_rightly", "refused rightly"),
    ("refused_wrongly", "refused wrongly"),
    ("passage_read", "right passage read"),
    ("first_text_seconds", "first text, seconds"),
    ("seconds", "whole answer, seconds"),
    ("prompt_tokens", "prompt tokens"),
    ("answer_tokens", "answer tokens"),
)


def measure_answers(
    golden: Path,
    questions: Sequence[GoldenQuestion],
    name: str,
    config: Config,
    *,
    chat_models: Sequence[str],
    modes: Sequence[Mode],
    plans: Sequence[PlanKind],
    prompts: Sequence[Prompt],
    k: int,
    report: Path | None,
    as_json: bool,
) -> int:
    """Runs, prints and reports. Returns the exit status: 1 where an answer failed."""
    started = time.perf_counter()
    if report is not None:
        require_report(report)
    with open_for_command(name, config) as collection:
        models = list(dict.fromkeys(chat_models)) or [
            choose_chat_model(collection.connection.client, config.chat_model)
        ]
        total = len(models) * len(modes) * (1 + len(plans)) * max(1, len(prompts)) * len(questions)
        bar = tqdm(desc="answers", unit="answer", total=total, disable=not wants_progress())
        with can_go_on("every answer so far"), bar:

            def on_result(_: AnswerResult) -> None:
                bar.update()

            runs = list(
                run_answers(
                    questions,
                    golden.parent.absolute().resolve(),
                    collection,
                    chat_models=models,
                    modes=modes,
                    plans=(None, *plans),
                    prompts=prompts or (None,),
                    k=k,
                    on_result=on_result,
                )
            )
    comparison = AnswerComparison.of(runs)
    labels = [_label(run, with_mode=len(modes) > 1 or bool(plans)) for run in runs]
    if report is not None:
        write_report(report, labels, comparison, title=f"Answers to {golden.name}, {len(questions)} questions")
    seconds = round(time.perf_counter() - started, 3)
    if as_json:
        answered = [
            {
                **asdict(question),
                "runs": [_result_json(label, run.results[at]) for label, run in _labelled(labels, runs)],
            }
            for at, question in enumerate(questions)
        ]
        print_json(
            {
                "dataset": str(golden),
                "queries": len(questions),
                "collection": name,
                "k": k,
                "runs": comparison.to_json(),
                "questions": answered,
                "seconds": seconds,
            }
        )
    else:
        click.echo(f"{golden}: {len(questions)} questions, {seconds:.1f} s; in brackets what 95 % of resamplings give")
        _print_table(labels, comparison)
        _print_wrong(labels, runs)
        if report is not None:
            notice(f"every answer is in {report}")
    failed = [result for run in runs for result in run.results if result.error]
    if failed:
        notice(f"{len(failed)} answers failed, the first: {failed[0].error}")
    return 1 if failed else 0


def _label(run: AnswerRun, *, with_mode: bool) -> str:
    """Model, mode where there are several, and prompt where one was asked for."""
    return " ".join([run.chat_model, *([run.mode] if with_mode else []), *([run.prompt] if run.prompt else [])])


def _labelled(labels: Sequence[str], runs: Sequence[AnswerRun]) -> list[tuple[str, AnswerRun]]:
    return list(zip(labels, runs, strict=True))


def _result_json(label: str, result: AnswerResult) -> dict[str, Any]:
    found: dict[str, Any] = {"run": label, "verdict": verdict(result)[1], "values": result.values}
    if result.answer is None or result.judgement is None:
        return {**found, "error": result.error}
    return {
        **found,
        "answer": result.answer.text,
        "answered": result.answer.answered,
        "citations": [{**asdict(each.citation), "right": each.right} for each in result.judgement.citations],
        "sentences": [asdict(each) for each in result.judgement.sentences],
        "passages_read": result.answer.passages_read,
        "notices": list(result.answer.notices),
    }


def _print_table(labels: Sequence[str], comparison: AnswerComparison) -> None:
    """A row a measure, a column a run: there are more measures than models."""
    width = max(len(title) for _, title in ROWS)
    widths = [max(len(label), 26) for label in labels]
    heads = [f"{label:<{size}}" for label, size in zip(labels, widths, strict=True)]
    click.echo("  ".join([" " * width, *heads]).rstrip())
    for name, title in ROWS:
        cells: list[str] = []
        for run, intervals, size in zip(comparison.runs, comparison.intervals, widths, strict=True):
            found = intervals.get(name)
            places = 3 if found is not None and found.high <= 1 and "seconds" not in name else 1
            text = f"{found.mean:.{places}f} [{found.low:.{places}f}, {found.high:.{places}f}]" if found else "-"
            cells.append(f"{text} of {len(run.values(name))}".ljust(size) if found else text.ljust(size))
        click.echo("  ".join([f"{title:<{width}}", *cells]).rstrip())
    for label, differences in list(zip(labels, comparison.differences, strict=True))[1:]:
        if (each := differences.get("correct")) is not None:
            bounds = f"[{each.low:+.3f}, {each.high:+.3f}]"
            click.echo(f"{label} against {labels[0]}, correct: {each.mean:+.3f} {bounds}, p {each.p:.3f}")


def _print_wrong(labels: Sequence[str], runs: Sequence[AnswerRun]) -> None:
    for label, run in _labelled(labels, runs):
        for result in run.results:
            kind, words = verdict(result)
            if kind == "wrong":
                click.echo(f"  {label}: {words}: {result.question.question}")
