"""`pipeline collections verify`: is what is on disk what was committed?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from pipeline.cli.options import shared_options
from pipeline.cli.progress import TransferBars
from pipeline.cli.reporting import notice, print_json, shown_path
from pipeline.config import Config
from pipeline.store import Layout, collection_names, verify_collection


@click.command("verify", short_help="Look at every byte of collections.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@shared_options
def verify(names: tuple[str, ...], config: Config, as_json: bool) -> int:
    """Read every file of the collections NAME, or of all, and compare them with their checksums and each other.

    Ends with status 1 if anything is wrong.
    """
    results: list[dict[str, Any]] = []
    for name in names or collection_names(config.home):
        started = time.perf_counter()
        with TransferBars() as bars:

            def show(done: int, total: int, *, name: str = name, bars: TransferBars = bars) -> None:
                bars.bytes_done(done, total, step=name)

            found = verify_collection(Layout.of(config.home, name), on_bytes=show)
        seconds = round(time.perf_counter() - started, 3)
        results.append({"collection": name, **asdict(found), "seconds": seconds})
        if not as_json:
            for problem in found.problems:
                named = problem.path in problem.error
                text = problem.error if named else f"{shown_path(problem.path)}: {problem.error}"
                click.secho(text, fg="red", err=True)
            verdict = f"{len(found.problems)} problems" if found.problems else "in order"
            click.echo(f"{name}: {verdict}; {found.files} files, {found.bytes:,} bytes, {seconds:.1f} s")
    broken = {result["collection"]: result["problems"] for result in results if result["problems"]}
    if as_json:
        print_json({"collections": results})
    else:
        _advise(broken)
        if not results:
            notice(f"no collections in {config.home}; make one with: pipeline index PATH")
    return 1 if broken else 0


def _advise(broken: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Says what to do about the problems of each collection."""
    lost = [name for name, problems in broken.items() if not all(problem["derived"] for problem in problems)]
    if lost:
        notice(f"damaged: {', '.join(lost)}; restore from a backup, or remove it and index its documents again")
    for name in broken:
        if name not in lost:
            rest = "nothing is lost; what is damaged follows from the rest"
            notice(f"{name}: {rest}: pipeline collections optimize {name}")
