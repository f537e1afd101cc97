"""A map as a picture, drawn by matplotlib (extra `plot`). In: a map. Out: PNG, or SVG or PDF by the suffix."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from pipeline.errors import MissingExtra, UsageError
from pipeline.map.data import map_json
from pipeline.map.make import CollectionMap
from pipeline.map.page import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXTRA = "plot"
INCHES = (14.0, 10.0)
DOTS = 150
PLACE = (0.015, 0.05, 0.755, 0.9)
"""Of the map in the picture: left, bottom, width, height, as shares of it."""
INK, SOFT, ACCENT, GROUND = "#14181f", "#586174", "#c2410c", "#ffffff"
LETTERS_A_LINE = 20
LONGEST_NAME = 34
LARGE_POINTS = 1500


def require_picture(path: Path) -> None:
    """Raises MissingExtra or UsageError where `write_picture` could not write `path`: before minutes are spent."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - heavy
    except ModuleNotFoundError as error:
        raise MissingExtra("matplotlib, which draws the picture,", extra=EXTRA) from error
    if path.suffix.removeprefix(".").lower() not in Figure().canvas.get_supported_filetypes():
        raise UsageError(
            f"{path} cannot be drawn: its suffix names no picture", hint="name it .html, .png, .svg or .pdf"
        )


def write_picture(
    path: Path, made: CollectionMap, *, color: str = "cluster", query: dict[str, Any] | None = None
) -> None:
    """`color` is cluster, document or folder; `query` what `query_json` gives. Raises as `require_picture`."""
    require_picture(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    data = map_json(made)
    figure = Figure(figsize=INCHES, dpi=DOTS, facecolor=GROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(PLACE)
    axes.set_axis_off()
    _limit(axes, data["points"]["x"], data["points"]["y"])
    _points(axes, data, color, query)
    figure.draw_without_rendering()
    taken = _query(figure, axes, query) if query else []
    _names(figure, axes, data, color, taken)
    _legend(figure, data, color)
    about = f"{data['shown']:,} passages" + (
        f", a sample of {data['passages']:,}" if data["shown"] < data["passages"] else ""
    )
    figure.text(0.02, 0.965, made.snapshot.name, size=17, weight="bold", color=INK, va="center", parse_math=False)
    figure.text(0.02, 0.025, "  ".join([f"{about}; {_method(data)}.", *data["notices"]]), size=9, color=SOFT)
    content = io.BytesIO()
    kind = path.suffix.removeprefix(".").lower()
    figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
    write_whole(path, content.getvalue())


def _limit(axes: Axes, x: Sequence[int], y: Sequence[int]) -> None:
    """All points in sight, as large as can be, both directions to the same scale."""
    across, down = INCHES[0] * PLACE[2], INCHES[1] * PLACE[3]
    half = 0.54 * max((max(x) - min(x) + 1) / across, (max(y) - min(y) + 1) / down)
    middle = (max(x) + min(x)) / 2, (max(y) + min(y)) / 2
    axes.set_xlim(middle[0] - half * across, middle[0] + half * across)
    axes.set_ylim(middle[1] + half * down, middle[1] - half * down)


def _method(data: dict[str, Any]) -> str:
    projection = data["projection"]
    kept = projection["kept"]
    return projection["method"] + ("" if kept is None else f", {kept:.0%} of nearest neighbours kept")


def _groups(data: dict[str, Any], color: str) -> list[dict[str, Any]]:
    groups = data[{"cluster": "topics", "document": "documents", "folder": "folders"}[color]]
    return [{**group, "label": group.get("label") or group.get("name")} for group in groups]


def _points(axes: Axes, data: dict[str, Any], color: str, query: dict[str, Any] | None) -> None:
    points, palette = data["points"], data["palette"]["light"]
    if color == "cluster":
        of_cluster = [data["topics"][cluster["topic"]]["color"] for cluster in data["clusters"]]
        numbers = [of_cluster[cluster] for cluster in points["cluster"]]
    else:
        documents, folders = data["documents"], data["folders"]
        of_document = [each["color"] if color == "document" else folders[each["folder"]]["color"] for each in documents]
        numbers = [of_document[document] for document in points["document"]]
    count = len(numbers)
    area = max(1.6, min(46.0, 60_000 / (count + 900)))
    axes.scatter(
        points["x"],
        points["y"],
        s=area,
        c=[palette[number] for number in numbers],
        alpha=0.25 if query else 0.6 if count > 5000 else 0.8,
        linewidths=0,
        rasterized=True,
    )


def _query(figure: Figure, axes: Axes, query: dict[str, Any]) -> list[Any]:
    """Draws the query, its hits and lines between; gives the boxes that its words take."""
    for hit in query["hits"]:
        axes.plot([query["x"], hit["x"]], [query["y"], hit["y"]], color=ACCENT, alpha=0.4, linewidth=0.9, zorder=3)
    x, y, hits = query["x"], query["y"], query["hits"]
    rings = [hit["x"] for hit in hits], [hit["y"] for hit in hits]
    axes.scatter(*rings, s=70, c="none", edgecolors=ACCENT, linewidths=1.8, zorder=4)
    axes.scatter([x], [y], s=210, c=ACCENT, marker="P", edgecolors=GROUND, linewidths=1.5, zorder=6)
    taken: list[Any] = []
    _write(figure, axes, f"“{_short(query['text'], 60)}”", x, y, taken, lift=17, color=ACCENT, size=12)
    for hit in hits:
        _write(figure, axes, str(hit["rank"]), hit["x"], hit["y"], taken, lift=11, color=ACCENT, size=9)
    return taken


def _names(figure: Figure, axes: Axes, data: dict[str, Any], color: str, taken: list[Any]) -> None:
    """Names of the groups, the largest first, each where it covers no other; above the points where these are large."""
    palette = data["palette"]["light"]
    lift = 11 if data["shown"] < LARGE_POINTS else 0

    def write(label: dict[str, Any], number: int, size: float, weight: str) -> None:
        text = "\n".join(
            wrap(_short(label["label"], 60), LETTERS_A_LINE, break_long_words=False, break_on_hyphens=False)
        )
        shade = _mixed(palette[number])
        _write(figure, axes, text, label["x"], label["y"], taken, lift=lift, color=shade, size=size, weight=weight)

    if color != "cluster":
        for label in data["labels"][color]:
            write(label, label["color"], 9.5, "bold")
        return
    for topic in data["topics"]:
        write(topic, topic["color"], 13, "bold")
    for cluster in data["clusters"]:
        write(cluster, data["topics"][cluster["topic"]]["color"], 8.5, "normal")


def _mixed(color: str) -> str:
    """A colour of the palette, dark enough to be read."""
    pairs = ((int(color[at : at + 2], 16), int(INK[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(0.6 * part + 0.4 * ink):02x}" for part, ink in pairs)


def _write(
    figure: Figure,
    axes: Axes,
    text: str,
    x: float,
    y: float,
    taken: list[Any],
    *,
    size: float,
    lift: float,
    color: str,
    weight: str = "bold",
) -> None:
    """Writes `text`, `lift` points above a place, unless it would cover one of the boxes `taken`."""
    from matplotlib.patheffects import withStroke  # noqa: PLC0415 - heavy

    written = axes.annotate(
        text,
        (x, y),
        xytext=(0, lift),
        textcoords="offset points",
        ha="center",
        va="center",
        size=size,
        weight=weight,
        color=color,
        zorder=7,
        parse_math=False,
        annotation_clip=False,
        path_effects=[withStroke(linewidth=3.2, foreground=GROUND, alpha=0.85)],
    )
    box = written.get_window_extent(figure.canvas.get_renderer()).padded(3)  # type: ignore[attr-defined]
    if any(box.overlaps(other) for other in taken):
        written.remove()
    else:
        taken.append(box)


def _legend(figure: Figure, data: dict[str, Any], color: str) -> None:
    groups, palette = _groups(data, color), data["palette"]["light"]
    entries = sorted((group for group in groups if group["color"] >= 0), key=lambda group: -group["size"])
    rows = [(palette[group["color"]], _short(group["label"], LONGEST_NAME), group["size"]) for group in entries]
    if others := [group for group in groups if group["color"] < 0]:
        rows.append((palette[-1], f"{len(others):,} more", sum(group["size"] for group in others)))
    title = {"cluster": "Topics", "document": "Documents", "folder": "Folders"}[color]
    axes = figure.add_axes((0.785, 0.05, 0.2, 0.9))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(24, -1)
    axes.text(0, 0, f"{title}, passages", size=11, weight="bold", color=INK, va="center")
    for at, (shade, name, size) in enumerate(rows, start=1):
        axes.scatter([0.025], [at], s=70, c=[shade], linewidths=0)
        axes.text(0.075, at, name, size=9.5, color=INK, va="center", parse_math=False)
        axes.text(1, at, f"{size:,}", size=9.5, color=SOFT, va="center", ha="right")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
