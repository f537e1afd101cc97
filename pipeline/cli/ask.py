"""`pipeline ask`: an answer from a collection, with citations, streamed."""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from pipeline.answer import PROMPTS, TABLE_SCHEMA, USUAL_PASSAGES, Prompt, marked_text, table_of
from pipeline.answer.structured import check_schema
from pipeline.cli.options import collection_option, model_option, server_options, shared_options
from pipeline.cli.reporting import notice, place, print_json
from pipeline.cli.search import print_hit
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.errors import UsageError
from pipeline.query import MODES, PLANS, Mode, PlanKind
from pipeline.shapes import answer_json
from pipeline.types import Answer


@click.command(short_help="Answer a question from a collection, with citations.")
@click.argument("question")
@collection_option
@click.option(
    "-k",
    "k",
    type=click.IntRange(min=1),
    default=USUAL_PASSAGES,
    show_default=True,
    help="Passages to answer from; of more than the default all that fit are read.",
)
@click.option("--mode", type=click.Choice(MODES), default="hybrid", show_default=True, help="How passages are found.")
@click.option("--where", metavar="EXPR", help="Only documents that meet a condition; see docs/search.md.")
@click.option("--plan", type=click.Choice(PLANS), help="Search for more than the question; see docs/search.md.")
@click.option(
    "--schema",
    "schema_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Answer in JSON that follows this JSON schema; sources go to stderr.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Answer with a table, as CSV; sources go to stderr.")
@click.option("--prompt", type=click.Choice(PROMPTS), help=f"How the model is asked.  [default: {PROMPTS[0]}]")
@click.option("--judge", is_flag=True, help="Have the chat model judge each sentence of its answer too.")
@click.option("--think", is_flag=True, help="Let a model that can reason do so before it answers.")
@click.option("--chat-model", metavar="NAME", help="Chat model.  [default: qwen2.5-coder:1.5b, or one that is there]")
@model_option
@server_options
@shared_options
def ask(
    question: str,
    name: str,
    k: int,
    mode: Mode,
    where: str | None,
    plan: PlanKind | None,
    prompt: Prompt | None,
    judge: bool,
    think: bool,
    schema_file: Path | None,
    as_csv: bool,
    config: Config,
    as_json: bool,
) -> int:
    """Answer QUESTION from the passages of a collection.

    The answer cites its sources by number, and sentences that no passage supports are marked. Ends with status 1 if the
    passages do not answer the question, or if the answer breaks off.
    """
    if not question.strip():
        raise UsageError("the question is empty", hint="ask something: pipeline ask QUESTION")
    if as_csv and schema_file is not None:
        raise UsageError("--csv has a schema of its own", hint="give --schema or --csv, not both")
    if prompt is not None and (as_csv or schema_file is not None):
        raise UsageError("--prompt is for answers in words", hint="leave it out with --schema and --csv")
    schema = TABLE_SCHEMA if as_csv else _schema(schema_file) if schema_file is not None else None
    started = time.perf_counter()
    streamed: list[str] = []

    def show(piece: str) -> None:
        streamed.append(piece)
        click.echo(piece, nl=False)

    live = sys.stdout.isatty() and not as_json
    with open_for_command(name, config) as collection:
        answer = collection.ask(
            question,
            k=k,
            mode=mode,
            where=where,
            plan=plan,
            prompt=prompt,
            judge=judge,
            think=think,
            schema=schema,
            on_text=show if live else None,
        )
    seconds = round(time.perf_counter() - started, 3)
    if as_json:
        print_json(answer_json(answer, seconds))
        return status_of(answer)
    if schema is not None and answer.answered:
        _print_value(answer, as_csv=as_csv)
        print_sources(answer, err=True)
        return status_of(answer)
    if streamed:
        click.echo()
    text = marked_text(answer, click.style("(not supported)", fg="red"))
    if "".join(streamed).strip() != text:
        click.echo(text)
    print_sources(answer)
    return status_of(answer)


def status_of(answer: Answer) -> int:
    return 0 if answer.answered and answer.stopped != "interrupted" else 1


def _schema(file: Path) -> dict[str, Any]:
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is not JSON: {error}", hint="give a file with a JSON schema") from error
    check_schema(schema)
    return schema


def _print_value(answer: Answer, *, as_csv: bool) -> None:
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(table_of(answer))
    else:
        click.echo(json.dumps(answer.value, ensure_ascii=False, indent=2))


def print_sources(answer: Answer, *, err: bool = False) -> None:
    click.echo(err=err)
    for citation in answer.citations:
        where = click.style(
            place(citation.path, citation.start_line, citation.end_line, citation.page, citation.end_page), fg="cyan"
        )
        click.echo(f"[{citation.number}] {where}\n    {' '.join(citation.quote.split())}", err=err)
    if not answer.answered and answer.hits:
        click.echo("The nearest passages:")
        for hit in answer.hits:
            print_hit(hit)
    for text in answer.notices:
        notice(text)
    if answer.draft:
        notice(f"what {answer.model} wrote: {answer.draft}")
