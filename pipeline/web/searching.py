"""Operations that find: search in one collection or several, a document's passages."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from pipeline.collection import AUTO, find_in
from pipeline.query import BY_RULE, PLAN_SECONDS, PLANS, RERANK_SECONDS, Judge, Planner, SearchOptions, chat_judge
from pipeline.query.snippets import matches
from pipeline.server.exchange import Reply, json_reply
from pipeline.shapes import found_json, stretch_json
from pipeline.store import collection_names, read_stretch
from pipeline.web.failures import NotFound
from pipeline.web.operation import JSON, Call, Operation, Parameter
from pipeline.web.schema import array, boolean, integer, number, reference, string
from pipeline.web.service import Service
from pipeline.web.shown import MODE

MOST_HITS = 200
MOST_COLLECTIONS = 100
NAME = string("Name of a collection.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
COLLECTION = Parameter(name="collection", schema=NAME, place="path", required=True)
IN_ADDRESS = 4_000
"""Characters of a text in a query string: encoded they are twelve times as many at the most; an address has 64 kB."""

WHERE = string("A condition on documents; see docs/search.md.", maxLength=IN_ADDRESS)
PLAN = string("Search for more than the question; see docs/search.md.", enum=list(PLANS))
QUERY = string(minLength=1, maxLength=IN_ADDRESS)


def search(service: Service, call: Call) -> Reply:
    return _searched(service, call, [call["collection"]])


def search_several(service: Service, call: Call) -> Reply:
    names = call.get("collections") or collection_names(service.library.config.home)
    if not names:
        raise NotFound("there is no collection yet", hint="index a folder first")
    return _searched(service, call, list(dict.fromkeys(names)))


def _searched(service: Service, call: Call, names: Sequence[str]) -> Reply:
    started = time.perf_counter()
    collections = [service.library.collection(name) for name in names]
    query, like = call["q"], call.get("like")
    options = SearchOptions(
        k=call["k"],
        mode=call["mode"],
        where=call.get("where") or None,
        diversity=call["diversity"],
        per_document=call.get("per_document"),
        collapse=call["collapse"],
        merge=call["merge"],
        parent=call.get("parent"),
        plan=call.get("plan"),
        plan_seconds=call["plan_seconds"],
        rerank_seconds=call["rerank_seconds"],
        explain=call["explain"],
    )
    with _helpers(service, call, names[0]) as (judge, planner):
        found = find_in(collections, query, options, like=like, judge=judge, planner=planner)
    seconds = round(time.perf_counter() - started, 4)
    shape = found_json(found, query=query, like=like, names=names, seconds=seconds)
    if call["highlight"]:
        for hit in shape["hits"]:
            hit["highlights"] = matches(hit["text"], query)
    return json_reply(shape)


@contextmanager
def _helpers(service: Service, call: Call, collection: str) -> Generator[tuple[Judge | None, Planner | None]]:
    """What reranks and what plans, if that is asked for.

    Where a chat model does, it is one of the few answers at a time, and ends where the client goes away. A name to
    rerank by is a chat model's here, never a folder of the server, but for the one that `auto` looks into.
    """
    name, plan = call.get("rerank"), call.get("plan")
    if name is None and plan in (None, BY_RULE):
        yield None, None
        return
    with (
        service.answering(),
        service.library.asking(collection, call.request.cancellation, call.get("chat_model")) as opened,
    ):
        judge = None
        if name is not None:
            judge = opened.judge(AUTO) if name == AUTO else chat_judge(lambda: opened.connection.client, name)
        yield judge, opened.planner(plan) if plan else None


def passages(service: Service, call: Call) -> Reply:
    snapshot = service.library.collection(call["collection"]).snapshot
    stretch = read_stretch(
        snapshot, call["document_id"], around=call.get("around"), first=call["first"], count=call["count"]
    )
    return json_reply(stretch_json(stretch, collection=snapshot.name))


HOW = (
    Parameter(name="q", schema=string("The query.", maxLength=IN_ADDRESS, default="")),
    Parameter(name="like", schema=string("PATH:LINE of a passage, in place of a query.", maxLength=IN_ADDRESS)),
    Parameter(name="k", schema=integer("How many hits.", minimum=1, maximum=MOST_HITS, default=10)),
    Parameter(name="mode", schema={**MODE, "default": "hybrid"}),
    Parameter(name="where", schema=WHERE),
    Parameter(name="diversity", schema=number("Prefer passages unlike those above.", minimum=0, maximum=1, default=0)),
    Parameter(name="per_document", schema=integer("Most hits of one document.", minimum=1, maximum=MOST_HITS)),
    Parameter(name="collapse", schema=boolean("Of passages that say the same, the best only.", default=False)),
    Parameter(name="merge", schema=boolean("Join neighbours in their document.", default=False)),
    Parameter(
        name="parent",
        schema=string(
            "Show the section of a passage, or so many passages on either side; not with merge.",
            pattern=r"^(section|[0-9]{1,2})$",
        ),
    ),
    Parameter(name="plan", schema=PLAN),
    Parameter(
        name="plan_seconds", schema=number("What a plan may take.", minimum=0.1, maximum=120, default=PLAN_SECONDS)
    ),
    Parameter(
        name="chat_model", schema=string("For a plan and `rerank=auto`; else the one that answers.", maxLength=300)
    ),
    Parameter(
        name="rerank",
        schema=string(
            "`auto`, or a chat model that judges the best hits once more.",
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,299}$",
        ),
    ),
    Parameter(
        name="rerank_seconds",
        schema=number("What that may take.", minimum=0.1, maximum=120, default=RERANK_SECONDS),
    ),
    Parameter(name="explain", schema=boolean("Say what each stage made of a hit.", default=False)),
    Parameter(name="highlight", schema=boolean("Say where the query's words stand.", default=False)),
)
"""How a search is to be done: what `pipeline search` takes."""

OPERATIONS = (
    Operation(
        method="GET",
        path="/api/collections/{collection}/search",
        name="search",
        summary="Ranked passages for a query, as `pipeline search --json` prints them.",
        tag="search",
        handler=search,
        parameters=(COLLECTION, *HOW),
        replies={200: {JSON: reference("Found")}},
        errors=(404, 409, 502, 503),
    ),
    Operation(
        method="GET",
        path="/api/search",
        name="search_several",
        summary="Ranked passages of several collections together, or of all that there are.",
        tag="search",
        handler=search_several,
        parameters=(
            Parameter(
                name="collections",
                schema=array(NAME, "Names with commas between; all, where it is missing.", maxItems=MOST_COLLECTIONS),
            ),
            *HOW,
        ),
        replies={200: {JSON: reference("Found")}},
        errors=(404, 409, 502, 503),
    ),
    Operation(
        method="GET",
        path="/api/collections/{collection}/documents/{document_id}",
        name="passages",
        summary="A document's text, as the passages that are stored of it; around one of them, or from a number on.",
        tag="search",
        handler=passages,
        parameters=(
            COLLECTION,
            Parameter(name="document_id", schema=string(maxLength=200), place="path", required=True),
            Parameter(name="around", schema=string("A chunk_id.", maxLength=200)),
            Parameter(name="first", schema=integer(minimum=0, maximum=2**31, default=0)),
            Parameter(name="count", schema=integer(minimum=1, maximum=500, default=40)),
        ),
        replies={200: {JSON: reference("Passages")}},
        errors=(404,),
    ),
)
