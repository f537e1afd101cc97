"""A map as a file in the collection's folder: `map/<sample>-<seed>.arrow`, made from the vectors and rebuildable.

In: a layout, settings, what was drawn. Out: `Drawn` again, or None where there is none that can be used.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.embed import ModelIdentity
from pipeline.errors import CorruptCollection
from pipeline.store import Layout
from pipeline.store.files import make_folder, map_table, writing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
FOLDER = "map"
FACTS = b"pipeline.map"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSettings:
    """At most `sample` passages are drawn; `seed` decides which, and how they come to lie."""

    sample: int = 50_000
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a map was made: `kept` is the share of nearest neighbours that it keeps, where that could be measured.

    `topics[i]` is the topic of cluster i; `model` is whose vectors were projected; `projected` counts the passages that
    were projected together.
    """

    method: str
    library: str
    kept: float | None
    projected: int
    cluster_names: tuple[str, ...]
    topics: tuple[int, ...]
    topic_names: tuple[str, ...]
    model: dict[str, Any]
    format: int = FORMAT


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Points by the key of their passage, ascending: places, shape (n, 2), clusters, and which were projected."""

    keys: NDArray[np.uint64]
    places: NDArray[np.float32]
    clusters: NDArray[np.int32]
    projected: NDArray[np.bool_]
    facts: Facts


def model_facts(model: ModelIdentity) -> dict[str, Any]:
    """What vectors depend on."""
    return {"name": model.name, "digest": model.digest, "dimension": model.dimension, "prefix": model.document_prefix}


def read_drawn(layout: Layout, settings: MapSettings) -> Drawn | None:
    """None where there is no such file, or none that this release understands."""
    import numpy as np  # noqa: PLC0415 - heavy

    path = _path(layout, settings)
    if not path.is_file():
        return None
    try:
        table = map_table(path)
        content = json.loads((table.schema.metadata or {})[FACTS])
        if content["format"] != FORMAT:
            return None
        for name in ("cluster_names", "topics", "topic_names"):
            content[name] = tuple(content[name])
        columns = {name: table.column(name).to_numpy() for name in ("key", "x", "y", "cluster", "projected")}
        places = np.stack([columns["x"], columns["y"]], axis=1)
        return Drawn(columns["key"], places, columns["cluster"], columns["projected"], Facts(**content))
    except (CorruptCollection, KeyError, TypeError, ValueError):
        return None


def write_drawn(layout: Layout, settings: MapSettings, drawn: Drawn) -> None:
    """Raises StorageUnwritable."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    table = pa.table(
        {
            "key": pa.array(drawn.keys, pa.uint64()),
            "x": pa.array(drawn.places[:, 0], pa.float32()),
            "y": pa.array(drawn.places[:, 1], pa.float32()),
            "cluster": pa.array(drawn.clusters, pa.int32()),
            "projected": pa.array(drawn.projected, pa.bool_()),
        }
    ).replace_schema_metadata({FACTS: json.dumps(asdict(drawn.facts), ensure_ascii=False)})
    path = _path(layout, settings)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _path(layout: Layout, settings: MapSettings) -> Path:
    return layout.root / FOLDER / f"{settings.sample}-{settings.seed}.arrow"
