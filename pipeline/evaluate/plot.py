"""A comparison as a picture. In: labelled runs with their intervals. Out: a file, by its suffix PNG, SVG or PDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import MissingExtra, UsageError
from pipeline.evaluate.compare import Comparison

EXTRA = "plot"
MEASURES = ("ndcg@10", "recall@10", "recall@100", "mrr@10", "map")


def require_plot(path: Path) -> None:
    """Raises MissingExtra or UsageError where `plot_comparison` could not write `path`: before hours are spent."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - heavy
    except ModuleNotFoundError as error:
        raise MissingExtra("matplotlib, which draws the plot,", extra=EXTRA) from error
    formats = Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in formats:
        raise UsageError(f"{path} cannot be drawn: its suffix names no picture", hint="name it .png, .svg or .pdf")


def plot_comparison(path: Path, labels: Sequence[str], comparison: Comparison, *, title: str) -> None:
    """Bars by measure, a colour for each run, with 95 % intervals. Raises as `require_plot`, or UsageError."""
    require_plot(path)
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(labels)
    for number, (label, intervals) in enumerate(zip(labels, comparison.intervals, strict=True)):
        chosen = [intervals[measure] for measure in MEASURES]
        axes.bar(
            [place + (number - (len(labels) - 1) / 2) * width for place in range(len(MEASURES))],
            [each.mean for each in chosen],
            width,
            yerr=[[each.mean - each.low for each in chosen], [each.high - each.mean for each in chosen]],
            capsize=2,
            label=label,
        )
    axes.set_xticks(range(len(MEASURES)), MEASURES)
    axes.set_ylim(0, 1)
    axes.set_title(title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="name a file that can be written") from error
