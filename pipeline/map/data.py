"""A map as JSON, for the page that draws it. docs/map.md describes the shape.

In: a `CollectionMap`. Out: a dict of plain lists: points, documents, folders, clusters, where their names stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.map.folders import folders_of, names_of
from pipeline.map.make import CollectionMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.store import StoredDocument

FORMAT = 1
EXTENT = 65_535
"""Places are whole numbers from 0 to this, as fine as a screen shows at the greatest enlargement."""

LIGHT = (
    "#2f6fdb", "#e0662b", "#2f9e5b", "#c43d8f", "#8a63d2", "#b8860b",
    "#17a2b8", "#d64545", "#6b8e23", "#8c564b", "#5b6ee1", "#1f7a6d", "#9aa3b2",
)  # fmt: skip
DARK = (
    "#6ea8ff", "#ff9a62", "#5fd08a", "#f07ac0", "#b898ff", "#e8bd4a",
    "#4fd3e6", "#ff7b7b", "#aacb5c", "#c79a8d", "#93a1ff", "#52c2b0", "#667085",
)  # fmt: skip
"""Colours of the largest groups, and last that of all others."""

COLORS = len(LIGHT) - 1
NAMED = 60
"""So many documents have their names on the map at the most."""
CELLS = 24


@dataclass(frozen=True, slots=True)
class Frame:
    """Takes places on the map to whole numbers: the larger side is the extent, the other is centred."""

    middle: tuple[float, float]
    span: float

    @classmethod
    def of(cls, places: NDArray[np.float32]) -> Frame:
        low, high = places.min(axis=0), places.max(axis=0)
        span = float((high - low).max()) * 1.01
        return cls((float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2), span or 1.0)

    def whole(self, places: NDArray[np.float32]) -> NDArray[np.int32]:
        """Shape (n, 2), int32; places outside the frame come to its edge."""
        import numpy as np  # noqa: PLC0415 - heavy

        inside = (places - np.array(self.middle)) / self.span + 0.5
        return np.rint(np.clip(inside, 0, 1) * EXTENT).astype(np.int32)


def map_json(made: CollectionMap) -> dict[str, Any]:
    """What is drawn, without texts: some 20 bytes a point."""
    documents, owners = document_of_points(made)
    sizes = _sizes(owners, len(documents))
    paths = [document.row.path for document in documents]
    names = names_of(paths)
    folder_names, folder_of = folders_of(paths, sizes, COLORS)
    at = Frame.of(made.places).whole(made.places)
    in_folder = folder_of[owners]
    folder_sizes = _sizes(in_folder, len(folder_names))
    topic_of = _array(made.facts.topics)[made.clusters]
    document_colors, folder_colors = _colors(sizes), _colors(folder_sizes)
    return {
        "format": FORMAT,
        "collection": made.snapshot.name,
        "generation": made.snapshot.manifest.generation,
        "passages": made.snapshot.manifest.live_rows,
        "shown": len(made.sample),
        "seed": made.settings.seed,
        "projection": {
            "method": made.facts.method,
            "library": made.facts.library,
            "kept": made.facts.kept,
            "placed": made.placed,
        },
        "notices": list(made.notices),
        "points": {
            "x": at[:, 0].tolist(),
            "y": at[:, 1].tolist(),
            "document": owners.tolist(),
            "cluster": made.clusters.tolist(),
        },
        "documents": [
            {
                "id": document.row.document_id,
                "path": document.row.path,
                "name": name,
                "size": size,
                "color": color,
                "folder": folder,
            }
            for document, name, size, color, folder in zip(
                documents, names, sizes, document_colors, folder_of.tolist(), strict=True
            )
        ],
        "folders": [
            {"name": name, "size": size, "color": color}
            for name, size, color in zip(folder_names, folder_sizes, folder_colors, strict=True)
        ],
        "clusters": [
            {**label, "topic": topic}
            for label, topic in zip(
                _labels(made.facts.cluster_names, made.clusters, at), made.facts.topics, strict=True
            )
        ],
        "topics": [
            {**label, "color": number if number < COLORS else -1}
            for number, label in enumerate(_labels(made.facts.topic_names, topic_of, at))
        ],
        "labels": {
            "document": _largest(_labels(names, owners, at, most=NAMED), document_colors),
            "folder": _largest(_labels(folder_names, in_folder, at), folder_colors),
        },
        "palette": {"light": list(LIGHT), "dark": list(DARK)},
    }


def passages_at(made: CollectionMap, points: Sequence[int]) -> list[dict[str, Any]]:
    """The passages of some points, in the order asked. Raises IndexError for points that are not on the map."""
    if any(not 0 <= point < len(made.sample) for point in points):
        raise IndexError(f"the map has points 0 to {len(made.sample) - 1}")
    rows = made.sample.rows[list(points)].tolist() if points else []
    return [
        {"point": point, **passage_json(columns)}
        for point, columns in zip(points, made.sample.scope.passages(rows), strict=True)
    ]


def passage_json(columns: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a passage."""
    kept = ("path", "start_line", "end_line", "page", "text", "chunk_id", "document_id")
    return {**{name: columns[name] for name in kept}, "heading": " > ".join(columns["heading_path"])}


def document_of_points(made: CollectionMap) -> tuple[list[StoredDocument], NDArray[np.int32]]:
    """The documents that have points, in the order of their paths, and which of them each point belongs to."""
    import numpy as np  # noqa: PLC0415 - heavy

    scope = made.sample.scope
    starts = {segment.id: start for segment, start in zip(scope.segments, scope.starts, strict=False)}
    stored = sorted(made.snapshot.documents(), key=lambda each: starts[each.segment] + each.first_row)
    firsts = np.array([starts[each.segment] + each.first_row for each in stored if each.rows], np.int64)
    stored = [each for each in stored if each.rows]
    owners = np.searchsorted(firsts, made.sample.rows, side="right") - 1
    used, owners = np.unique(owners, return_inverse=True)
    documents = [stored[at] for at in used.tolist()]
    paths = [document.row.path for document in documents]
    order = sorted(range(len(paths)), key=paths.__getitem__)
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return [documents[at] for at in order], ranks[owners]


def _array(values: Sequence[int]) -> NDArray[np.int32]:
    import numpy as np  # noqa: PLC0415 - heavy

    return np.array(values, np.int32)


def _sizes(groups: NDArray[np.int32], count: int) -> list[int]:
    import numpy as np  # noqa: PLC0415 - heavy

    return np.bincount(groups, minlength=count).tolist()


def _colors(sizes: Sequence[int]) -> list[int]:
    """A colour for each of the largest groups, the largest first; -1 for the others, where there are more."""
    ranks = sorted(range(len(sizes)), key=lambda at: (-sizes[at], at))
    colors = [-1] * len(sizes)
    for rank, at in enumerate(ranks[:COLORS]):
        colors[at] = rank
    return colors


def _labels(
    names: Sequence[str], groups: NDArray[np.int32], at: NDArray[np.int32], *, most: int | None = None
) -> list[dict[str, Any]]:
    """Name, size and place of each group, or of the largest only; the place is where its points are densest."""
    import numpy as np  # noqa: PLC0415 - heavy

    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(len(names) + 1))
    sizes = np.diff(bounds)
    chosen = range(len(names)) if most is None else np.argsort(-sizes, kind="stable")[:most].tolist()
    labels: list[dict[str, Any]] = []
    for group in chosen:
        members = at[order[bounds[group] : bounds[group + 1]]]
        x, y = _densest(members) if len(members) else (0, 0)
        labels.append({"label": names[group], "group": group, "size": int(sizes[group]), "x": x, "y": y})
    return labels


def _largest(labels: list[dict[str, Any]], colors: Sequence[int]) -> list[dict[str, Any]]:
    ranked = sorted((label for label in labels if label["size"]), key=lambda label: -label["size"])
    return [{**label, "color": colors[label["group"]]} for label in ranked]


def _densest(members: NDArray[np.int32]) -> tuple[int, int]:
    """The middle of those points that are in the fullest square and the squares around it."""
    import numpy as np  # noqa: PLC0415 - heavy

    low = members.min(axis=0)
    side = max(1, int((members.max(axis=0) - low).max()) // CELLS + 1)
    cells = (members - low) // side + 1
    counts = np.zeros((CELLS + 3, CELLS + 3), np.int64)
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1)
    around = sum(np.roll(counts, (dx, dy), (0, 1)) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
    best = np.unravel_index(int(np.asarray(around).argmax()), counts.shape)
    near = members[(np.abs(cells - np.array(best)) <= 1).all(axis=1)]
    middle = near.mean(axis=0)
    return int(middle[0]), int(middle[1])
