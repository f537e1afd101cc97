"""`pipeline collections optimize`: merges segments, drops dead rows, indexes what is large."""

from __future__ import annotations

import time

import click

from pipeline.cli.options import DEFAULT_COLLECTION, shared_options
from pipeline.cli.progress import RowBar
from pipeline.cli.reporting import can_go_on, print_json
from pipeline.config import Config
from pipeline.interrupts import termination_raised
from pipeline.memory import return_freed_memory
from pipeline.optimize import OptimizeReport, Size, optimize_collection


@click.command("optimize", short_help="Merge segments, drop dead rows, index what is large.")
@click.argument("name", default=DEFAULT_COLLECTION)
@shared_options
def optimize(name: str, config: Config, as_json: bool) -> int:
    """Merge the segments of collection NAME, drop what no longer counts, and index large segments for search.

    Searching works meanwhile. Ctrl-C loses nothing: the next run goes on.
    """
    return_freed_memory()
    started = time.perf_counter()
    with termination_raised(), can_go_on(), RowBar("rows") as bar:
        report = optimize_collection(config.home, name, on_rows=bar)
    seconds = round(time.perf_counter() - started, 3)
    if as_json:
        print_json({**report.to_json(), "seconds": seconds})
    else:
        _print(report, seconds)
    return 0


def _print(report: OptimizeReport, seconds: float) -> None:
    if report.before == report.after:
        click.echo(f"{report.collection}: nothing to do; {_described(report.after)}; {seconds:.1f} s")
        return
    click.echo(f"{report.collection}: {_described(report.after)}; {seconds:.1f} s")
    click.echo(f"before: {_described(report.before)}")


def _described(size: Size) -> str:
    return (
        f"{size.segments} segments, {size.rows} chunks ({size.indexed_rows} indexed), {size.dead_rows} dead rows, "
        f"{size.bytes:,} bytes"
    )
