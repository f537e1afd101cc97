"""Operations on the map of a collection: points, the passages behind them, a query drawn in. Shapes: docs/map.md."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

from pipeline.map import CollectionMap, make_map, map_json, passages_at, query_json
from pipeline.query import SearchOptions
from pipeline.server.exchange import Reply, json_reply
from pipeline.store import Snapshot
from pipeline.web.failures import BadRequest, Conflict
from pipeline.web.jobs import Job
from pipeline.web.operation import JSON, Call, Operation, Parameter
from pipeline.web.schema import Schema, integer, record, reference, string
from pipeline.web.searching import COLLECTION, QUERY, WHERE
from pipeline.web.service import Service
from pipeline.web.static_files import takes_gzip

QUERY_HITS = 20
POINTS = r"^[0-9]{1,7}(,[0-9]{1,7}){0,99}$"
SHAPE: Schema = {"type": "object", "description": "See docs/map.md."}
SHOWN: dict[str, Schema] = {
    "MapProgress": record({"step": string(), "done": integer(), "total": integer()}),
    "MapPassages": record({"passages": {"type": "array", "items": SHAPE}}),
}


def points(service: Service, call: Call) -> Reply:
    """The map, or how far its making is, which this begins where nobody has."""
    snapshot = service.library.collection(call["collection"]).snapshot
    made = service.maps.find(snapshot)
    if made is None:
        return json_reply(_progress(service, snapshot), 202)
    reply = json_reply(map_json(made))
    if not takes_gzip(call.request):
        return reply
    assert isinstance(reply.body, bytes)
    headers = {**reply.headers, "content-encoding": "gzip", "vary": "Accept-Encoding"}
    return replace(reply, headers=headers, body=gzip.compress(reply.body, 3, mtime=0))


def passages(service: Service, call: Call) -> Reply:
    made = _made(service, call)
    numbers = [int(text) for text in call["points"].split(",")]
    if max(numbers) >= len(made.sample):
        raise BadRequest(f"there is no point {max(numbers)}", hint=f"there are {len(made.sample)}, from 0")
    return json_reply({"passages": passages_at(made, numbers)})


def query(service: Service, call: Call) -> Reply:
    made = _made(service, call)
    collection = service.library.collection(call["collection"])
    found = collection.find(call["q"], SearchOptions(k=QUERY_HITS, where=call.get("where") or None))
    vector = collection.source().embedder.embed_query(call["q"])
    return json_reply(query_json(made, call["q"], vector, found.hits))


def _made(service: Service, call: Call) -> CollectionMap:
    made = service.maps.find(service.library.collection(call["collection"]).snapshot)
    if made is None:
        raise Conflict("the map is not made yet", hint="ask for the map itself first")
    return made


def _progress(service: Service, snapshot: Snapshot) -> dict[str, Any]:
    job = service.jobs.running_for("map", collection=snapshot.name)
    if job is None:
        # One that failed is told once; whoever asks again begins again.
        job = service.jobs.start("map", {"collection": snapshot.name}, lambda job: _make(service, snapshot, job))
    progress = {"step": "waiting", "done": 0, "total": 0, **job.to_json()["progress"]}
    return {name: progress[name] for name in ("step", "done", "total")}


def _make(service: Service, snapshot: Snapshot, job: Job) -> dict[str, Any]:
    service.maps.keep(
        make_map(snapshot, progress=lambda step, done, total: job.report(step=step, done=done, total=total))
    )
    return {"collection": snapshot.name}


OPERATIONS = (
    Operation(
        method="GET",
        path="/api/collections/{collection}/map",
        name="map",
        summary="The map of a collection; 202, with how far it is, while it is made.",
        tag="map",
        handler=points,
        parameters=(COLLECTION,),
        replies={200: {JSON: SHAPE}, 202: {JSON: reference("MapProgress")}},
        errors=(404, 503),
    ),
    Operation(
        method="GET",
        path="/api/collections/{collection}/map/passages",
        name="map_passages",
        summary="The passages behind some points of the map.",
        tag="map",
        handler=passages,
        parameters=(
            COLLECTION,
            Parameter(
                name="points",
                schema=string("Numbers with commas between.", pattern=POINTS),
                required=True,
            ),
        ),
        replies={200: {JSON: reference("MapPassages")}},
        errors=(404, 409),
    ),
    Operation(
        method="GET",
        path="/api/collections/{collection}/map/query",
        name="map_query",
        summary="A query and its hits as places on the map.",
        tag="map",
        handler=query,
        parameters=(
            COLLECTION,
            Parameter(name="q", schema=QUERY, required=True),
            Parameter(name="where", schema=WHERE),
        ),
        replies={200: {JSON: SHAPE}},
        errors=(404, 409, 502),
    ),
)
