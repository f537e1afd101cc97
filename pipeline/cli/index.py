"""`pipeline index`: bring a collection up to date with files and folders."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.chunks import print_estimate
from pipeline.cli.index_bars import IndexBars
from pipeline.cli.options import (
    batch_options,
    chunker_options,
    collection_option,
    model_option,
    prefix_options,
    server_options,
    shared_options,
)
from pipeline.cli.reporting import can_go_on, counted, notice, print_json, shown_path
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.errors import PipelineError, StorageError
from pipeline.ingest import IndexReport
from pipeline.interrupts import termination_raised
from pipeline.memory import return_freed_memory


@click.command(short_help="Bring a collection up to date with files and folders.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@collection_option
@model_option
@prefix_options
@batch_options
@chunker_options
@click.option(
    "--dry-run", is_flag=True, help="Index nothing: say how much there is to do, and about how long it takes."
)
@click.option("--allow-empty", is_flag=True, help="Remove what is gone even where no document, or no path, is left.")
@click.option("--strict", is_flag=True, help="Count empty files and links that lead nowhere as failures.")
@server_options
@shared_options
def index(
    paths: tuple[Path, ...],
    name: str,
    chunker: tuple[str, ...],
    chunk_tokens: int | None,
    language: str | None,
    dry_run: bool,
    allow_empty: bool,
    strict: bool,
    config: Config,
    as_json: bool,
) -> int:
    """Bring a collection up to date with PATHS: new and changed documents in, vanished ones out.

    Reads Markdown, plain text, HTML, reStructuredText, LaTeX, Python, source code, CSV, JSON, Jupyter notebooks, EPUB,
    e-mail, PDF, Word, PowerPoint and Excel (the last four with the extra "documents"). Hidden files, archives that are
    not named, and what .gitignore or .pipelineignore name are left out. Unchanged files are not read again. Ends with
    status 1 if any document failed; empty files and links that lead nowhere are only counted, unless --strict.
    """
    if dry_run:
        return print_estimate(paths, name, chunker, chunk_tokens, language, config, strict=strict, as_json=as_json)
    return_freed_memory()
    report = IndexReport(collection=name)
    with termination_raised(), can_go_on(), open_for_command(name, config) as collection, IndexBars() as bars:
        try:
            collection.index(
                *paths,
                chunker=chunker,
                chunk_tokens=chunk_tokens,
                language=language,
                allow_empty=allow_empty,
                strict=strict,
                progress=bars,
                report=report,
            )
        except StorageError:
            raise
        except (PipelineError, KeyboardInterrupt):
            if not as_json and (report.chunks.embedded or report.documents.added):
                notice(f"stopped early; kept: {_summary(report)}")
            raise
    if as_json:
        print_json(report.to_json())
    else:
        _print(report)
    return 1 if report.failures else 0


def _print(report: IndexReport) -> None:
    click.echo(f"{report.collection}: {_summary(report)}")
    if report.skipped:
        skipped = ", ".join(f"{count} {reason}" for reason, count in report.skipped.items())
        click.echo(f"skipped: {skipped}")
    for item in report.notices:
        notice(f"{shown_path(item.path)}: {item.notice}")
    for failure in report.failures:
        click.secho(f"failed: {shown_path(failure.path)}: {failure.error}", fg="red", err=True)


def _summary(report: IndexReport) -> str:
    documents, chunks = report.documents, report.chunks
    return (
        f"documents: {counted(documents)}; chunks: {chunks.embedded} embedded, {chunks.reused} reused, "
        f"{chunks.removed} removed, {chunks.total} in all; {report.seconds:.1f} s"
    )
