"""Makes the map of a snapshot, or brings one that was made before up to date.

In: a snapshot, settings. Out: `CollectionMap`: a place, a cluster and a topic for every passage that is drawn. What was
drawn is kept in the collection's folder; a passage that stays keeps its place, one that is new is put among its
neighbours, and only a much changed collection is projected again, from where its passages were.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import StorageUnwritable, UsageError
from pipeline.map.cache import Drawn, Facts, MapSettings, model_facts, read_drawn, sample_of, write_drawn
from pipeline.map.clusters import Names, cluster_rows, rows_to_read
from pipeline.map.neighbours import share_kept
from pipeline.map.place import place_rows
from pipeline.map.project import LEAST_ROWS, PCA, Report, best_method, project
from pipeline.map.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.store import Snapshot

logger = logging.getLogger(__name__)

CHANGED = 0.2
"""Where more than this share of the projected passages is gone, or as many have come, all are projected again."""


@dataclass(frozen=True, slots=True, eq=False)
class CollectionMap:
    """`places`, float32 (n, 2), and `clusters`, int32 (n,), belong to the rows of `sample`."""

    snapshot: Snapshot
    settings: MapSettings
    sample: Sample
    places: NDArray[np.float32]
    clusters: NDArray[np.int32]
    placed: int
    facts: Facts

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reader of the map should know of how it was made."""
        notices: list[str] = []
        if self.facts.method == PCA and len(self.sample) >= LEAST_ROWS:
            notices.append("Drawn along two axes only; pip install 'pipeline[map]' shows neighbourhoods.")
        if self.placed:
            notices.append(f"{self.placed} newer passages were put among their neighbours.")
        return tuple(notices)


def find_map(snapshot: Snapshot, settings: MapSettings | None = None) -> CollectionMap | None:
    """The map of exactly what the snapshot shows, if it has been made before."""
    settings = settings or MapSettings()
    return _found(snapshot, settings, _sample(snapshot, settings), _usable(snapshot, settings))


def make_map(
    snapshot: Snapshot, settings: MapSettings | None = None, *, progress: Report | None = None
) -> CollectionMap:
    """The map of a snapshot, from the cache as far as possible. Makes no request to a server.

    `progress(step, done, total)` is told how far each step is, and may raise to break off; what is in the cache stays
    as it was. Needs memory for the vectors of `settings.sample` passages, twice.

    Raises UsageError where the collection has no passages, CorruptCollection or DimensionMismatch as every reader.
    """
    settings = settings or MapSettings()
    report = progress or _ignored
    sample, known = _sample(snapshot, settings), _usable(snapshot, settings)
    if (found := _found(snapshot, settings, sample, known)) is not None:
        return found
    drawn = _drawn_anew(snapshot, settings, sample, known, report)
    try:
        write_drawn(snapshot.layout, settings, drawn)
    except StorageUnwritable as error:
        logger.warning("the map could not be kept: %s", error.message)
    made = _found(snapshot, settings, sample, drawn)
    assert made is not None
    return made


def _ignored(_step: str, _done: int, _total: int) -> None:
    """What becomes of the progress that nobody asked for."""


def _sample(snapshot: Snapshot, settings: MapSettings) -> Sample:
    sample = sample_of(snapshot, settings)
    if not len(sample):
        raise UsageError(
            f"collection {snapshot.name!r} has no passages to draw", hint=f"pipeline index PATH -c {snapshot.name}"
        )
    return sample


def _usable(snapshot: Snapshot, settings: MapSettings) -> Drawn | None:
    """What was drawn before, unless of another model's vectors, or by a method worse than what there is now."""
    drawn = read_drawn(snapshot.layout, settings)
    if drawn is None or drawn.facts.model != model_facts(snapshot.manifest.model):
        return None
    by_axes = drawn.facts.method == PCA and drawn.facts.projected >= LEAST_ROWS
    return None if by_axes and best_method() != PCA else drawn


def _found(snapshot: Snapshot, settings: MapSettings, sample: Sample, drawn: Drawn | None) -> CollectionMap | None:
    import numpy as np  # noqa: PLC0415 - heavy

    if drawn is None:
        return None
    at = np.searchsorted(drawn.keys, sample.keys)
    at[at == len(drawn.keys)] = 0
    if (drawn.keys[at] != sample.keys).any():
        return None
    shown = np.unique(at)
    projected = int(drawn.projected[shown].sum())
    placed = len(shown) - projected
    if _much_changed(drawn.facts, projected, placed):
        return None
    return CollectionMap(snapshot, settings, sample, drawn.places[at], drawn.clusters[at], placed, drawn.facts)


def _much_changed(facts: Facts, projected: int, placed: int) -> bool:
    """Whether those that are left of the passages that were projected, or those put among them, tell another story."""
    return projected < (1 - CHANGED) * facts.projected or placed > CHANGED * facts.projected


def _drawn_anew(
    snapshot: Snapshot, settings: MapSettings, sample: Sample, known: Drawn | None, report: Report
) -> Drawn:
    """Everything projected, or new passages put among those that were drawn before."""
    import numpy as np  # noqa: PLC0415 - heavy

    report("reading", 0, len(sample))
    keys, first = np.unique(sample.keys, return_index=True)
    vectors = sample.vectors(first)
    report("reading", len(sample), len(sample))
    start: NDArray[np.float32] | None = None
    if known is not None:
        old = np.isin(keys, known.keys)
        at = np.searchsorted(known.keys, keys[old])
        placed = int((~old).sum() + (~known.projected[at]).sum())
        if old.any():
            extended = _extended(keys, vectors, old, at, known)
            if not _much_changed(known.facts, int(known.projected[at].sum()), placed):
                return extended
            start = extended.places
    places, method, library = project(vectors, seed=settings.seed, start=start, report=report)
    report("clusters", 0, 1)
    clusters, topics = cluster_rows(vectors, seed=settings.seed)
    report("clusters", 1, 1)
    names = _names(sample, first, clusters, report)
    facts = Facts(
        method=method,
        library=library,
        kept=share_kept(vectors, places, seed=settings.seed),
        projected=len(keys),
        cluster_names=tuple(names.of(range(len(topics)))),
        topics=topics,
        topic_names=tuple(names.of(topics)),
        model=model_facts(snapshot.manifest.model),
    )
    return Drawn(keys, places, clusters, np.ones(len(keys), np.bool_), facts)


def _extended(
    keys: NDArray[np.uint64],
    vectors: NDArray[np.float32],
    old: NDArray[np.bool_],
    at: NDArray[np.int64],
    known: Drawn,
) -> Drawn:
    """The places of `keys`: known ones (`old`, at `at` of `known`) as they are, the others among them."""
    import numpy as np  # noqa: PLC0415 - heavy

    places = np.empty((len(keys), 2), np.float32)
    clusters = np.empty(len(keys), np.int32)
    places[old], clusters[old] = known.places[at], known.clusters[at]
    if not old.all():
        places[~old], nearest = place_rows(vectors[~old], vectors[old], places[old])
        clusters[~old] = clusters[old][nearest]
    projected = np.zeros(len(keys), np.bool_)
    projected[old] = known.projected[at]
    return Drawn(keys, places, clusters, projected, known.facts)


def _names(sample: Sample, first: NDArray[np.int64], clusters: NDArray[np.int32], report: Report) -> Names:
    """The words of some passages of each cluster; `first[i]` is the position in the sample that `clusters[i]` is of."""
    import numpy as np  # noqa: PLC0415 - heavy

    owner = np.full(len(sample), -1, np.int64)
    read = rows_to_read(clusters)
    owner[first[read]] = clusters[read]
    names, done = Names(), 0
    for at, batch in sample.passages("text"):
        owners = owner[at : at + batch.num_rows]
        chosen = np.flatnonzero(owners >= 0)
        for text, cluster in zip(batch.column("text").take(chosen).to_pylist(), owners[chosen].tolist(), strict=True):
            names.add(cluster, text)
        done += batch.num_rows
        report("names", done, len(sample))
    return names
