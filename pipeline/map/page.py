"""A map as one HTML file that needs nothing else: data, drawing and looks inside. In: a map. Out: the file.

The texts of documents stand in it as JSON in which no tag can begin, and come on the page as text only; the page's own
policy lets no other script run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.map.data import map_json
from pipeline.map.make import CollectionMap

CHARACTERS = 8_000_000
"""Of passages in one page; where there are many, each is cut to its share."""
SHORTEST, LONGEST = 120, 600

START = """
{
const data = JSON.parse(document.getElementById("data").textContent);
const { heading, lines, page, text } = data.texts;
const passage = (point) => ({
  path: data.documents[data.points.document[point]].path,
  heading: data.headings[heading[point]],
  start_line: lines[point][0],
  end_line: lines[point][1],
  page: page[point],
  text: text[point],
});
const view = mountMap(document.getElementById("map"), data, { color: data.color, passage });
if (data.query) view.setQuery(data.query);
window.mapView = view;
}
"""
MODULES = ("map_grid.js", "map_labels.js", "map_painter.js", "map.js")
LOOKS = "html, body { height: 100%; margin: 0; } #map { height: 100vh; height: 100dvh; }"


def write_page(path: Path, made: CollectionMap, *, color: str = "cluster", query: dict[str, Any] | None = None) -> None:
    """`query` is what `query_json` gives. Raises UsageError for a file that cannot be written."""
    data = {**map_json(made), **texts_of(made), "color": color, "query": query}
    static = files("pipeline") / "web" / "static"
    script = _script(static) + START
    style = static.joinpath("map.css").read_text(encoding="utf-8") + LOOKS
    title = html.escape(f"Map of {made.snapshot.name}")
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'"
    # `<` is the one character by which JSON could end its element or begin another.
    content = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main id="map"></main>
<script type="application/json" id="data">{content}</script>
<script type="module">{script}</script>
</body>
</html>
"""
    write_whole(path, page.encode("utf-8", "replace"))


def _script(static: Traversable) -> str:
    """The map's modules as one: no name stands in two of them, so nothing has to be imported."""
    text = "".join(static.joinpath(name).read_text(encoding="utf-8") for name in MODULES)
    return re.sub(r"^(import .*;\n|export )", "", text, flags=re.MULTILINE)


def texts_of(made: CollectionMap) -> dict[str, Any]:
    """By point the text, cut to its share, the lines, the page, and the number of its heading in `headings`."""
    count = len(made.sample)
    most = max(SHORTEST, min(LONGEST, CHARACTERS // count))
    headings: dict[str, int] = {}
    texts: dict[str, list[Any]] = {"text": [""] * count, "lines": [()] * count, "page": [None] * count}
    texts["heading"] = [0] * count
    for at, batch in made.sample.passages("text", "heading_path", "start_line", "end_line", "page"):
        for point, columns in enumerate(batch.to_pylist(), start=at):
            text = columns["text"]
            texts["text"][point] = text if len(text) <= most else text[: most - 1] + "…"
            texts["lines"][point] = (columns["start_line"], columns["end_line"])
            texts["page"][point] = columns["page"]
            texts["heading"][point] = headings.setdefault(" > ".join(columns["heading_path"]), len(headings))
    return {"texts": texts, "headings": list(headings)}


def write_whole(path: Path, content: bytes) -> None:
    """Raises UsageError for a file that cannot be written; one that is there is replaced whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="name a file that can be written") from error


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
