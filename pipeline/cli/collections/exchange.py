"""`pipeline collections export|import`: collections as files that other programs read and write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click
from tqdm import tqdm

from pipeline.cli.options import DEFAULT_COLLECTION, collection_option, shared_options
from pipeline.cli.progress import wants_progress
from pipeline.cli.reporting import can_go_on, counted, notice, print_json
from pipeline.config import Config
from pipeline.errors import StorageError, UsageError
from pipeline.exchange import (
    Columns,
    ImportProgress,
    ImportReport,
    export_collection,
    export_lines,
    import_vectors,
)
from pipeline.exchange.formats import FORMATS, JSONL
from pipeline.interrupts import termination_raised
from pipeline.memory import return_freed_memory
from pipeline.store import Layout, require_collection

STDOUT = "-"

format_option = click.option(
    "--format", "kind", type=click.Choice(FORMATS), help="Format.  [default: by the suffix of the name]"
)


@click.command("export", short_help="Write a collection to Parquet, JSON lines or NumPy files.")
@click.argument("name", default=DEFAULT_COLLECTION)
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="File or folder to write; - for JSON lines on stdout."
)
@format_option
@click.option("--force", is_flag=True, help="Replace what is there.")
@shared_options
def export(name: str, output: str, kind: str | None, force: bool, config: Config, as_json: bool) -> int:
    """Write collection NAME with its passages, documents and vectors to FILE, whole or not at all."""
    if output == STDOUT and (kind not in (None, JSONL) or as_json):
        raise UsageError("only JSON lines can be written to stdout, and nothing with them", hint="give a file's name")
    snapshot = require_collection(config.home, name)
    with _bar("exporting", snapshot.manifest.live_rows) as bar:

        def show(rows: int) -> None:
            bar.update(rows)

        if output == STDOUT:
            export_lines(snapshot, sys.stdout.buffer, progress=show)
            return 0
        report = export_collection(snapshot, Path(output), format=kind, overwrite=force, progress=show)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(
            f"{name}: {report.passages} passages of {report.documents} documents in {report.output}, "
            f"{report.bytes:,} bytes"
        )
    return 0


@click.command("import", short_help="Take passages with vectors from a file into a collection.")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@collection_option
@click.option("--model", metavar="NAME", help="Model that made the vectors.  [default: what the file says]")
@format_option
@click.option("--text-column", default="text", show_default=True, metavar="COLUMN", help="Where the texts are.")
@click.option("--vector-column", default="vector", show_default=True, metavar="COLUMN", help="Where the vectors are.")
@click.option(
    "--path-column", metavar="COLUMN", help="What tells a passage's document.  [default: path, if there is one]"
)
@shared_options
def import_file(
    path: Path,
    name: str,
    kind: str | None,
    text_column: str,
    vector_column: str,
    path_column: str | None,
    config: Config,
    as_json: bool,
) -> int:
    """Take the passages of FILE into a collection, with the vectors that they have there.

    FILE is what `export` wrote, or Parquet or JSON lines with a text and a vector in each row, or NumPy vectors with
    JSON lines. It is checked as a whole before anything is stored. Documents of the same path are replaced.
    """
    return_freed_memory()
    report = ImportReport(collection=name)
    columns = Columns(text=text_column, vector=vector_column, path=path_column)
    layout = Layout.of(config.home, name)
    with termination_raised(), can_go_on(), _ImportBars() as bars:
        try:
            import_vectors(layout, path, model=config.model, format=kind, columns=columns, progress=bars, report=report)
        except (StorageError, KeyboardInterrupt):
            if not as_json and report.passages:
                notice(f"stopped early; kept: {_summary(report)}")
            raise
    if as_json:
        print_json(report.to_json())
        return 0
    click.echo(f"{name}: {_summary(report)}")
    if report.normalised:
        notice(f"{report.normalised} vectors did not have length 1 and were normalised")
    if report.ignored:
        notice(f"not imported: {', '.join(report.ignored)}")
    return 0


class _ImportBars(ImportProgress):
    """One bar while the file is checked, and one while it is stored."""

    def __init__(self) -> None:
        self._checked = _bar("checking ")
        self._stored: tqdm[NoReturn] | None = None

    def __enter__(self) -> _ImportBars:
        return self

    def __exit__(self, *_: object) -> None:
        self._checked.close()
        if self._stored is not None:
            self._stored.close()

    def started(self, rows: int | None) -> None:
        self._checked.reset(total=rows)

    def checked(self, rows: int) -> None:
        self._checked.update(rows)

    def stored(self, rows: int) -> None:
        if self._stored is None:
            self._checked.close()
            self._stored = _bar("importing", total=self._checked.n)
        self._stored.update(rows)


def _bar(what: str, total: float | None = None) -> tqdm[NoReturn]:
    return tqdm(desc=what, unit="passage", total=total, disable=not wants_progress())


def _summary(report: ImportReport) -> str:
    return (
        f"documents: {counted(report.documents)}; passages: {report.passages} stored, {report.total} in all; "
        f"model {report.model} ({report.dimension}); {report.seconds:.1f} s"
    )
