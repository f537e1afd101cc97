"""`pipeline search`: ranked passages for a query, or like a passage."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

import click

from pipeline.cli.options import DEFAULT_COLLECTION, model_option, server_options, shared_options
from pipeline.cli.reporting import notice, place, print_json
from pipeline.cli.session import open_for_command
from pipeline.collection import find_in
from pipeline.config import Config
from pipeline.query import MODES, PLAN_SECONDS, PLANS, RERANK_SECONDS, SearchOptions
from pipeline.shapes import found_json
from pipeline.types import Hit, Stage

EXCERPT_LINES = 6
SHOWN_TERMS = 6


@click.command(short_help="Find passages by meaning and by words.")
@click.argument("query", default="")
@click.option(
    "-c",
    "--collection",
    "names",
    default=(DEFAULT_COLLECTION,),
    show_default=True,
    metavar="NAME",
    multiple=True,
    help="Collection; several are searched together.",
)
@click.option("-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="How many passages.")
@click.option("--mode", type=click.Choice(MODES), default="hybrid", show_default=True, help="By meaning, words, both.")
@click.option(
    "--where", metavar="EXPR", help="Only documents that meet a condition, like: path ~ 'docs/**' and size < 1m"
)
@click.option("--like", metavar="PATH:LINE", help="What is similar to a passage that is there, instead of QUERY.")
@click.option("--per-document", type=click.IntRange(min=1), metavar="N", help="Most passages of one document.")
@click.option("--collapse", is_flag=True, help="Of passages that say the same, list the best only.")
@click.option("--merge", is_flag=True, help="Join passages that are neighbours in their document.")
@click.option("--parent", metavar="section|N", help="Show the section of a passage, or N passages on either side.")
@click.option(
    "--diversity", type=click.FloatRange(0, 1), default=0.0, metavar="0..1", help="Prefer passages unlike those above."
)
@click.option(
    "--plan",
    type=click.Choice(PLANS),
    help="Search for more than the question: its parts, rewritings, a made-up answer.",
)
@click.option(
    "--plan-seconds", type=float, default=PLAN_SECONDS, show_default=True, metavar="S", help="What a plan may take."
)
@click.option(
    "--chat-model", metavar="NAME", help="Chat model for --plan and `--rerank auto`.  [default: as for `ask`]"
)
@click.option(
    "--rerank", metavar="MODEL", help="Have the best judged by a chat model, a cross-encoder's folder, or `auto`."
)
@click.option(
    "--rerank-seconds", type=float, default=RERANK_SECONDS, show_default=True, metavar="S", help="What that may take."
)
@click.option("--explain", is_flag=True, help="Show what each stage made of a passage.")
@click.option("--full", is_flag=True, help="Print passages whole.")
@model_option
@server_options
@shared_options
def search(
    query: str,
    names: tuple[str, ...],
    like: str | None,
    full: bool,
    config: Config,
    as_json: bool,
    **given: Any,
) -> int:
    """Find the passages that answer QUERY best, by meaning and by words.

    "Quoted parts" must stand in a passage as they are. docs/search.md says how ranks come about, and what conditions
    --where understands.
    """
    started = time.perf_counter()
    options = SearchOptions(**given)
    names = tuple(dict.fromkeys(names))
    with ExitStack() as stack:
        collections = [stack.enter_context(open_for_command(name, config)) for name in names]
        found = find_in(collections, query, options, like=like)
    seconds = round(time.perf_counter() - started, 3)
    if as_json:
        print_json(found_json(found, query=query, like=like, names=names, seconds=seconds))
        return 0
    if options.explain and found.plan is not None:
        for number, text in enumerate([*found.plan.queries, *filter(None, [found.plan.passage])], start=1):
            click.secho(f"plan {number}: {text}", dim=True)
    for hit in found.hits:
        print_hit(hit, full=full, query=query, name_collection=len(names) > 1)
    for text in found.notices:
        notice(text)
    if not found.hits:
        narrowed = options.where or '"' in query or options.mode == "lexical"
        click.echo("nothing found" if narrowed else "the collection is empty", err=True)
    return 0


def print_hit(hit: Hit, *, full: bool = False, query: str = "", name_collection: bool = False) -> None:
    """Rank, score and place in one line, then the passage; on a terminal the words of `query` stand out in it."""
    where = click.style(place(hit.path, hit.start_line, hit.end_line, hit.page, hit.end_page), fg="cyan")
    heading = click.style(f"  {hit.heading}", dim=True) if hit.heading else ""
    collection = f"  [{hit.collection}]" if name_collection else ""
    click.echo(f"{hit.rank:>2}. {hit.score:.3f}  {where}{heading}{collection}")
    if hit.explain is not None:
        for name, stage in hit.explain.items():
            click.secho(f"    {_stage_line(name, stage)}", dim=True)
    _print_text(hit.text, full=full, query=query)
    if hit.duplicates:
        same = ", ".join(hit.duplicates[:3]) + (" …" if len(hit.duplicates) > 3 else "")
        click.secho(f"    the same: {same}", dim=True)
    click.echo()


def _print_text(text: str, *, full: bool, query: str) -> None:
    lines = text.split("\n")
    first, last = 0, len(lines) if full else min(len(lines), EXCERPT_LINES)
    if query:
        from pipeline.query.snippets import best_lines, highlighted, matches  # noqa: PLC0415 - only to show matches

        spans = matches(text, query)
        if not full and len(lines) > EXCERPT_LINES:
            first, last = best_lines(text, spans, EXCERPT_LINES)
        if sys.stdout.isatty():
            lines = highlighted(text, spans, lambda words: click.style(words, bold=True, fg="yellow")).split("\n")
    if first:
        click.secho(f"    … {first} lines before", dim=True)
    for line in lines[first:last]:
        click.echo(f"    {line}")
    if last < len(lines):
        click.secho(f"    … {len(lines) - last} more lines", dim=True)


def _stage_line(name: str, stage: Stage) -> str:
    rank = f"rank {stage.rank}" if stage.rank else "not proposed"
    details = [f"{key} {value:.2f}" for key, value in stage.detail.items()]
    terms = [f"{term} {value:.2f}" for term, value in stage.terms.items()]
    if terms:
        more = f" and {len(terms) - SHOWN_TERMS} more" if len(terms) > SHOWN_TERMS else ""
        details.append(", ".join(terms[:SHOWN_TERMS]) + more)
    return f"{name}: {rank}, {stage.score:.3f}" + (f" ({'; '.join(details)})" if details else "")
