"""The JSON that others build on: records come in, what `--json` prints and the HTTP API sends goes out. Pure.

docs/design.md lists the shapes.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.errors import PipelineError, UsageError
from pipeline.lexical import segment_folder
from pipeline.query.hits import HEADING_SEPARATOR
from pipeline.store import Snapshot, Stretch, collection_names, require_collection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.api import ModelInfo
    from pipeline.query import Found
    from pipeline.store.manifest import SegmentRecord
    from pipeline.types import Answer, Hit

Shape = dict[str, Any]
PLACES = 6
"""After the point, of scores: float32 has seven digits."""


def hit_json(hit: Hit) -> Shape:
    """A hit; paths are absolute, `explain` is there where it was asked for."""
    fields = asdict(hit)
    if hit.explain is None:
        del fields["explain"]
    return _rounded(fields)


def found_json(found: Found, *, query: str, like: str | None, names: Sequence[str], seconds: float) -> Shape:
    """What a search found; `collection` is a list where there are several."""
    result: Shape = {"query": query, "collection": names[0] if len(names) == 1 else list(names)}
    if like is not None:
        result["like"] = like
    hits = [hit_json(hit) for hit in found.hits]
    if found.plan is not None:
        result["plan"] = asdict(found.plan)
    return result | {"mode": found.mode, "hits": hits, "notices": list(found.notices), "seconds": seconds}


def stretch_json(stretch: Stretch, *, collection: str) -> Shape:
    """Neighbouring passages of a document; `at` is the number of the one that was asked for."""
    row = stretch.document.row
    return {
        "collection": collection,
        "document_id": row.document_id,
        "path": row.path,
        "title": row.title,
        "format": row.format,
        "size": row.size,
        "metadata": dict(row.metadata),
        "total": stretch.total,
        "at": stretch.at,
        "passages": [
            {
                "number": each.number,
                "chunk_id": each.chunk_id,
                "start_line": each.start_line,
                "end_line": each.end_line,
                "page": each.page,
                "heading": HEADING_SEPARATOR.join(each.heading_path),
                "text": each.text,
                "overlap": each.overlap,
            }
            for each in stretch.passages
        ],
    }


def answer_json(answer: Answer, seconds: float) -> Shape:
    return {
        "question": answer.question,
        "answer": answer.text,
        "answered": answer.answered,
        "sentences": [asdict(sentence) for sentence in answer.sentences],
        "citations": [asdict(citation) for citation in answer.citations],
        "hits": [hit_json(hit) for hit in answer.hits],
        "model": answer.model,
        "usage": asdict(answer.usage),
        "passages_read": answer.passages_read,
        "notices": list(answer.notices),
        "value": answer.value,
        "draft": answer.draft,
        "thinking": answer.thinking,
        "stopped": answer.stopped,
        "seconds": seconds,
    }


def collections_json(home: Path) -> Shape:
    """All collections below `home`; one that is damaged has its `error` in place of its numbers."""
    rows: list[Shape] = []
    for name in collection_names(home):
        try:
            rows.append(collection_summary(require_collection(home, name)))
        except PipelineError as error:
            rows.append({"collection": name, "error": error.message})
    return {"home": str(home), "collections": rows}


def collection_summary(snapshot: Snapshot) -> Shape:
    """What there is of it; `moving` says how far a move to another model has come, that was cut short or is at work."""
    from pipeline.reembed import unfinished_move  # noqa: PLC0415 - heavy, and nothing that a search needs

    manifest = snapshot.manifest
    move = unfinished_move(snapshot)
    return {
        "collection": snapshot.name,
        "model": manifest.model.name,
        "dimension": manifest.model.dimension,
        "documents": snapshot.live_documents,
        "chunks": manifest.live_rows,
        "updated": manifest.updated,
        "moving": asdict(move) if move else None,
    }


def collection_json(snapshot: Snapshot) -> Shape:
    """A collection with its settings, segments and documents."""
    manifest = snapshot.manifest
    return {
        **collection_summary(snapshot),
        "folder": str(snapshot.layout.root),
        "digest": manifest.model.digest,
        "metric": manifest.metric,
        "query_prefix": manifest.model.query_prefix,
        "document_prefix": manifest.model.document_prefix,
        "chunker": manifest.chunker,
        "created": manifest.created,
        "segments": [_segment_json(snapshot, record) for record in manifest.segments],
        "bytes": sum(file.bytes for record in manifest.segments for file in record.files),
        "files": [
            {"path": document.row.path, "title": document.row.title, "chunks": document.rows}
            for document in sorted(snapshot.documents(), key=lambda item: item.row.path)
        ],
    }


def _segment_json(snapshot: Snapshot, record: SegmentRecord) -> Shape:
    """`index` has the facts of its approximate index, null where every vector is compared; `lexical`: whether its words
    are indexed, which the first search by words does otherwise."""
    return {
        "id": record.id,
        "rows": record.rows,
        "deleted": record.deleted_rows,
        "index": record.index.facts if record.index else None,
        "lexical": segment_folder(snapshot.layout, record).is_dir(),
    }


def models_json(models: Iterable[ModelInfo], *, embedded: bool) -> Shape:
    """The models on a server; `available` lists those that the embedded one has in its catalogue."""
    return {
        "embedded": embedded,
        "models": [
            {
                "name": model.name,
                "size": model.size,
                "digest": model.digest,
                "capabilities": list(model.capabilities),
                "modified_at": model.modified_at,
            }
            for model in models
        ],
        "available": _available() if embedded else [],
    }


def error_json(error: PipelineError) -> Shape:
    """`at` is there where it is known in which place of an expression the mistake stands."""
    told: Shape = {"type": error.type_name, "message": error.message, "hint": error.hint}
    if isinstance(error, UsageError) and error.at is not None:
        told["at"] = error.at
    return {"error": told}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, PLACES)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in cast("Shape", value).items()}
    return value


def _available() -> list[Shape]:
    from pipeline.server.weights import CATALOGUE  # noqa: PLC0415 - only with the embedded server

    return [{"name": weights.name, "size": weights.size, "licence": weights.licence} for weights in CATALOGUE.values()]
