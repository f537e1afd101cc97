"""`pipeline collections map`: a collection drawn as a page or a picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NoReturn

import click
from tqdm import tqdm

from pipeline.cli.options import DEFAULT_COLLECTION, server_options, shared_options
from pipeline.cli.progress import wants_progress
from pipeline.cli.reporting import notice, print_json, shown_path
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.errors import UsageError
from pipeline.map import CollectionMap, MapSettings, make_map, query_json, require_picture, write_page, write_picture
from pipeline.query import SearchOptions

PAGE = (".html", ".htm")
COLORINGS = ("cluster", "document", "folder")


@click.command("map", short_help="Draw a collection as a page or a picture.")
@click.argument("name", default=DEFAULT_COLLECTION)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What to write: .html, a page that can be zoomed and searched with the eye; .png, .svg or .pdf, a picture.",
)
@click.option("--color", type=click.Choice(COLORINGS), default="cluster", show_default=True, help="Colours by.")
@click.option("--query", metavar="TEXT", help="Draw this query and its best hits in.")
@click.option("-k", "hits", type=click.IntRange(1, 100), default=10, show_default=True, help="Hits of the query.")
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    default=MapSettings().sample,
    show_default=True,
    metavar="N",
    help="Passages to draw at the most.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which sample, which map.")
@server_options
@shared_options
def map_command(
    name: str,
    output: Path,
    color: str,
    query: str | None,
    hits: int,
    sample: int,
    seed: int,
    config: Config,
    as_json: bool,
) -> int:
    """Draw the passages of collection NAME as points, near each other where they say similar things.

    The map is kept in the collection's folder: it is made once, and new passages are put among their neighbours. A
    server is asked only for a --query. Needs the extra `map`; without it the map shows two axes only.
    """
    started = time.perf_counter()
    if query is not None and not query.strip():
        raise UsageError("the query is empty", hint="say what to look for")
    page = output.suffix.lower() in PAGE
    if not page:
        require_picture(output)
    _require_writable(output)
    with open_for_command(name, config) as collection:
        with _Bars() as bars:
            made = make_map(collection.snapshot, MapSettings(sample=sample, seed=seed), progress=bars)
        drawn: dict[str, Any] | None = None
        if query is not None:
            found = collection.find(query, SearchOptions(k=hits))
            drawn = query_json(made, query, collection.source().embedder.embed_query(query), found.hits)
    (write_page if page else write_picture)(output, made, color=color, query=drawn)
    seconds = round(time.perf_counter() - started, 3)
    if as_json:
        print_json(
            {**_facts(made), "output": str(output.absolute()), "color": color, "query": drawn, "seconds": seconds}
        )
        return 0
    facts = made.facts
    kept = "" if facts.kept is None else f", {facts.kept:.0%} of nearest neighbours kept"
    of = "" if len(made.sample) == made.snapshot.manifest.live_rows else f" of {made.snapshot.manifest.live_rows:,}"
    click.echo(f"{shown_path(str(output))}: {len(made.sample):,}{of} passages, {facts.method}{kept}; {seconds:.1f} s")
    for each in made.notices:
        notice(each)
    return 0


def _facts(made: CollectionMap) -> dict[str, Any]:
    return {
        "collection": made.snapshot.name,
        "passages": made.snapshot.manifest.live_rows,
        "shown": len(made.sample),
        "seed": made.settings.seed,
        "method": made.facts.method,
        "library": made.facts.library,
        "kept": made.facts.kept,
        "placed": made.placed,
        "topics": list(made.facts.topic_names),
        "notices": list(made.notices),
    }


def _require_writable(output: Path) -> None:
    """Raises UsageError for a place that nothing can be written to: before minutes are spent."""
    if output.is_dir() or not output.absolute().parent.is_dir():
        wrong = "is a folder" if output.is_dir() else "is in a folder that does not exist"
        raise UsageError(f"cannot write {output}: it {wrong}", hint="name a file that can be written")


class _Bars:
    """A bar for each step."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None
        self._step = ""

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self._step:
            self.__exit__()
            self._bar = tqdm(desc=f"{step:<10}", total=total, disable=not wants_progress())
            self._step = step
        assert self._bar is not None
        self._bar.update(done - self._bar.n)
