"""`pipeline collections verify`: is what is on disk what was committed?"""

from __future__ import annotations

import time
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
    if as_json:
        print_json({"collections": results})
    broken = {result["collection"]: result["problems"] for result in results if result["problems"]}
    lost = [name for name, problems in broken.items() if not all(problem["derived"] for problem in problems)]
    if lost and not as_json:
        notice(f"damaged: {', '.join(lost)}; restore from a backup, or remove it and index its documents again")
    for name in [] if as_json else [name for name in broken if name not in lost]:
        notice(f"{name}: nothing is lost; what is damaged follows from the rest: pipeline collections optimize {name}")
    if not results and not as_json:
        notice(f"no collections in {config.home}; make one with: pipeline index PATH")
    return 1 if broken else 0
