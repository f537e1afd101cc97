"""`pipeline chunks` and `pipeline index --dry-run`: what would be cut and embedded, before anything is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipeline.cli.options import chunker_options, model_option, server_options, shared_options
from pipeline.cli.reporting import place, print_json, shown_path
from pipeline.cli.session import open_for_command
from pipeline.config import Config
from pipeline.errors import CollectionNotFound
from pipeline.preview import ChunkPreview, Preview, Previewer

BAR = 40
EXTREMES = 3


@click.command("chunks", short_help="Show how files would be cut, before anything is embedded.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--stats", is_flag=True, help="Sizes only: how many chunks of how many tokens, the largest, the smallest."
)
@model_option
@chunker_options
@server_options
@shared_options
def chunks(
    paths: tuple[Path, ...],
    stats: bool,
    chunker: tuple[str, ...],
    chunk_tokens: int | None,
    language: str | None,
    config: Config,
    as_json: bool,
) -> int:
    """Show the chunks that PATHS would be cut into, with their places and their tokens as the model counts them.

    Nothing is embedded and nothing is stored. Ends with status 1 if any file could not be read.
    """
    with open_for_command("preview", config) as collection:
        previewer = Previewer(collection.embedder, chunker=chunker, chunk_tokens=chunk_tokens, language=language)
        found = previewer.chunks(paths)
        shown: list[ChunkPreview] = []
        largest, smallest = Extremes(largest=True), Extremes(largest=False)
        for chunk in found:
            largest.see(chunk)
            smallest.see(chunk)
            if stats:
                continue
            if as_json:
                shown.append(chunk)
            else:
                _print_chunk(chunk)
        preview = previewer.preview
    if as_json:
        sizes = [{"from": least, "to": most, "chunks": count} for least, most, count in preview.histogram()]
        print_json(
            {
                **_summary(preview),
                "histogram": sizes,
                "largest": [_without_text(chunk) for chunk in largest.chunks],
                "smallest": [_without_text(chunk) for chunk in smallest.chunks],
                **({} if stats else {"chunks": [asdict(chunk) for chunk in shown]}),
            }
        )
    else:
        _print_sizes(preview, largest.chunks, smallest.chunks)
    return 1 if preview.failures else 0


def print_estimate(
    paths: Sequence[Path],
    name: str,
    chunker: Sequence[str],
    chunk_tokens: int | None,
    language: str | None,
    config: Config,
    *,
    strict: bool,
    as_json: bool,
) -> int:
    """What `pipeline index --dry-run` says. Returns the exit status."""
    with open_for_command(name, config) as collection:
        try:
            snapshot = collection.snapshot
        except CollectionNotFound:
            snapshot = None
        if snapshot is not None and config.model is not None:
            snapshot.require_model(config.model)
        previewer = Previewer(
            collection.embedder,
            chunker=chunker,
            chunk_tokens=chunk_tokens,
            language=language,
            snapshot=snapshot,
            strict=strict,
        )
        for _ in previewer.chunks(paths):
            pass
        preview, estimate = previewer.preview, previewer.estimate()
    if as_json:
        print_json({**_summary(preview), "collection": name, "estimate": asdict(estimate)})
    else:
        _print_counts(preview)
        click.echo(f"to embed: {preview.to_embed} chunks, {preview.tokens_to_embed} tokens")
        if estimate.probed:
            click.echo(
                f"time: about {_duration(estimate.seconds)}, from {estimate.probed} of these chunks that the server "
                f"embedded just now at {estimate.tokens_per_second:.0f} tokens a second"
            )
    return 1 if preview.failures else 0


class Extremes:
    """The few largest or smallest of many chunks."""

    def __init__(self, *, largest: bool) -> None:
        self._sign = -1 if largest else 1
        self.chunks: list[ChunkPreview] = []

    def see(self, chunk: ChunkPreview) -> None:
        if len(self.chunks) == EXTREMES and self._sign * chunk.tokens >= self._sign * self.chunks[-1].tokens:
            return
        self.chunks.append(chunk)
        self.chunks.sort(key=lambda each: self._sign * each.tokens)
        del self.chunks[EXTREMES:]


def _summary(preview: Preview) -> dict[str, Any]:
    return {
        "chunker": asdict(preview.settings),
        "files": preview.files,
        "unchanged": preview.unchanged,
        "skipped": dict(sorted(preview.skipped.items())),
        "failures": [{"path": path, "error": error} for path, error in preview.failures],
        "chunk_count": preview.chunks,
        "tokens": preview.tokens,
        "tokens_exact": preview.exact,
        "to_embed": preview.to_embed,
        "tokens_to_embed": preview.tokens_to_embed,
    }


def _without_text(chunk: ChunkPreview) -> dict[str, Any]:
    return {key: value for key, value in asdict(chunk).items() if key != "text"}


def _print_chunk(chunk: ChunkPreview) -> None:
    heading = f"  {chunk.heading}" if chunk.heading else ""
    click.secho(f"{place(chunk.path, chunk.start_line, chunk.end_line)}  {chunk.tokens} tokens{heading}", bold=True)
    click.echo(chunk.text + "\n")


def _print_counts(preview: Preview) -> None:
    counted = "tokens" if preview.exact else "tokens (estimated)"
    unchanged = f", {preview.unchanged} of them unchanged" if preview.unchanged else ""
    click.echo(f"{preview.files} files{unchanged}; {preview.chunks} chunks, {preview.tokens} {counted}")
    if preview.skipped:
        click.echo("skipped: " + ", ".join(f"{count} {reason}" for reason, count in sorted(preview.skipped.items())))
    for path, error in preview.failures:
        click.secho(f"failed: {shown_path(path)}: {error}", fg="red", err=True)


def _print_sizes(preview: Preview, largest: Iterable[ChunkPreview], smallest: Iterable[ChunkPreview]) -> None:
    _print_counts(preview)
    if not preview.chunks:
        return
    rows = preview.histogram()
    most = max(count for _, _, count in rows)
    for low, high, count in rows:
        click.echo(f"{low:>6}-{high:<6} {count:>7} {'█' * round(BAR * count / most)}")
    for word, found in (("largest", largest), ("smallest", smallest)):
        for chunk in found:
            click.echo(f"{word:>8} {chunk.tokens:>5} tokens  {place(chunk.path, chunk.start_line, chunk.end_line)}")


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
