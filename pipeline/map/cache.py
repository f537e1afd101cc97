"""A map as files in the collection's folder, made from the vectors and rebuildable.

`map/<sample>-<seed>.arrow` holds what was drawn, `map/<sample>-<seed>.rows.arrow` which passages are the sample of the
collection as it was last seen, so that not all of their hashes have to be read again.

In: a layout, settings, what was drawn or sampled. Out: the same again, or None where there is none that can be used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.embed import ModelIdentity
from pipeline.errors import CorruptCollection, StorageUnwritable
from pipeline.map.sample import Sample
from pipeline.query.scope import Scope
from pipeline.store import Layout, Snapshot
from pipeline.store.files import make_folder, map_table, writing
from pipeline.store.layout import HASHES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

FORMAT = 1
FOLDER = "map"
FACTS = b"pipeline.map"
CONTENT = b"pipeline.content"


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
    _write(_path(layout, settings), table)


def sample_of(snapshot: Snapshot, settings: MapSettings) -> Sample:
    """`Sample.of` the snapshot, as it is known of the same content, or made and kept for the next time."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    path, content = _path(snapshot.layout, settings, ".rows"), _content(snapshot)
    if (known := _read_sample(path, snapshot, content)) is not None:
        return known
    sample = Sample.of(snapshot, settings.sample, settings.seed)
    table = pa.table({"row": pa.array(sample.rows, pa.int64()), "key": pa.array(sample.keys, pa.uint64())})
    try:
        _write(path, table.replace_schema_metadata({CONTENT: content}))
    except StorageUnwritable as error:
        logger.debug("the sample could not be kept: %s", error.message)
    return sample


def _read_sample(path: Path, snapshot: Snapshot, content: bytes) -> Sample | None:
    if not path.is_file():
        return None
    try:
        table = map_table(path)
        if (table.schema.metadata or {}).get(CONTENT) != content:
            return None
        return Sample(Scope([snapshot]), table.column("row").to_numpy(), table.column("key").to_numpy())
    except (CorruptCollection, KeyError, ValueError):
        return None


def _content(snapshot: Snapshot) -> bytes:
    """Stands for which passages there are, in which rows: segments do not change, but for what of them is dead."""
    parts = [
        (each.id, next(file.sha256 for file in each.files if file.name == HASHES), each.deleted and each.deleted.sha256)
        for each in snapshot.manifest.segments
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest().encode()


def _write(path: Path, table: pa.Table) -> None:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with writing(path):
        try:
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _path(layout: Layout, settings: MapSettings, kind: str = "") -> Path:
    return layout.root / FOLDER / f"{settings.sample}-{settings.seed}{kind}.arrow"
