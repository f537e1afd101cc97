"""`pipeline eval`: retrieval quality on golden questions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.options import collection_option, model_option, server_options, shared_options
from pipeline.cli.reporting import notice, print_json
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.errors import UsageError
from pipeline.evaluate import GoldenQuestion, evaluate_golden, read_golden
from pipeline.store import Snapshot


@click.command("eval", short_help="Measure retrieval quality on golden questions.")
@click.argument("golden", type=click.Path(path_type=Path))
@collection_option
@model_option
@server_options
@shared_options
def evaluate(golden: Path, name: str, config: Config, as_json: bool) -> int:
    """Measure how well a collection answers the questions of GOLDEN.

    GOLDEN is a file of JSON lines {"question", "path", "quote"}; paths are relative to its folder. Questions whose
    path is null are left out. Measures are by document; passage recall counts passages that hold the quote.
    """
    started = time.perf_counter()
    questions = read_golden(golden)
    with open_for_command(name, config) as collection:
        _require_documents(questions, golden.parent, collection.snapshot)
        model = collection.snapshot.manifest.model.name
        chunker = collection.snapshot.manifest.chunker
        report = evaluate_golden(questions, golden.parent, lambda question, k: collection.search(question, k=k))
    seconds = round(time.perf_counter() - started, 3)
    if as_json:
        run = {
            "mode": "dense",
            "model": model,
            "chunker": chunker,
            **report.measures,
            "passage": report.passage_recall,
        }
        questions_json = [
            {
                **asdict(result.question),
                "document_rank": result.document_rank,
                "passage_rank": result.passage_rank,
            }
            for result in report.results
        ]
        print_json(
            {
                "dataset": str(golden),
                "queries": report.queries,
                "runs": [run],
                "questions": questions_json,
                "seconds": seconds,
            }
        )
        return 0
    click.echo(f"{report.queries} questions, {model}, dense, {seconds:.1f} s")
    for measure, value in report.measures.items():
        click.echo(f"  {measure:<12} {value:.4f}")
    for measure, value in report.passage_recall.items():
        click.echo(f"  passage {measure:<12} {value:.4f}")
    for result in report.results:
        if result.document_rank != 1:
            found = f"rank {result.document_rank}" if result.document_rank else "not found"
            click.echo(f"  {found}: {result.question.question} ({result.question.path})")
    return 0


def _require_documents(questions: Sequence[GoldenQuestion], root: Path, snapshot: Snapshot) -> None:
    """Says which documents of the questions are not in the collection; none of them there is a mistake."""
    wanted = {str((root / question.path).resolve()) for question in questions if question.path is not None}
    missing = wanted - {document.row.path for document in snapshot.documents()}
    if wanted and missing == wanted:
        raise UsageError(
            f"collection {snapshot.name!r} has none of the documents that the questions name",
            hint="choose the collection with -c, or index the folder of the questions first",
        )
    if missing:
        notice(f"{len(missing)} of {len(wanted)} documents that the questions name are not in the collection")
