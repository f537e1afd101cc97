"""The schemas of what the API sends: the shapes of `--json` as JSON Schema, by name."""

from __future__ import annotations

from pipeline.query import MODES
from pipeline.web.schema import Schema, array, boolean, integer, mapping, nullable, number, record, reference, string

MODE = string("By meaning (dense), by words (lexical), or both.", enum=list(MODES))
SCORE = nullable(number())

STAGE = record(
    {
        "rank": integer("0: not among those that the stage proposed."),
        "score": number(),
        "detail": mapping(number()),
        "terms": mapping(number(), "What each word of the query adds."),
    }
)
HIT = record(
    {
        "rank": integer(minimum=1),
        "score": number(),
        "path": string(),
        "start_line": integer(),
        "end_line": integer(),
        "page": nullable(integer("The page on which it begins.")),
        "end_page": nullable(integer()),
        "start": integer("Where it begins in its document's text, in characters."),
        "end": integer(),
        "heading": string(),
        "text": string(),
        "document_id": string(),
        "chunk_id": string(),
        "scores": record({"dense": SCORE, "lexical": SCORE, "rerank": SCORE}),
        "collection": string(),
        "duplicates": array(string()),
        "explain": mapping(STAGE, "By stage how the hit came to its rank; with explain=true."),
        "highlights": array(array(integer()), "Spans of the query's words in `text`, in characters (code points)."),
    },
    optional=("explain", "highlights"),
)
CITATION = record(
    {
        "number": integer(),
        "path": string(),
        "start_line": integer(),
        "end_line": integer(),
        "quote": string(),
        "page": nullable(integer()),
        "end_page": nullable(integer()),
    }
)
MOVE = record({"model": string(), "dimension": integer(), "chunks": integer(), "of": integer()})
SUMMARY: dict[str, Schema] = {
    "collection": string(),
    "model": string(),
    "dimension": integer(),
    "documents": integer(),
    "chunks": integer(),
    "updated": string(),
    "moving": nullable(MOVE),
}
JOB_COUNTS = mapping(integer())

SCHEMAS: dict[str, Schema] = {
    "Error": record(
        {
            "error": record(
                {
                    "type": string(),
                    "message": string(),
                    "hint": string(),
                    "at": integer("Where in a condition the mistake stands."),
                    "param": {"type": "null"},
                    "code": {"type": "null"},
                },
                optional=("at", "param", "code"),
            )
        }
    ),
    "Hit": HIT,
    "Found": record(
        {
            "query": string(),
            "collection": {
                "type": ["string", "array"],
                "items": {"type": "string"},
                "description": "A list, of several.",
            },
            "like": string(),
            "plan": record({"kind": string(), "queries": array(string()), "passage": string()}),
            "mode": MODE,
            "hits": array(reference("Hit")),
            "notices": array(string()),
            "seconds": number(),
        },
        optional=("like", "plan"),
    ),
    "Answer": record(
        {
            "question": string(),
            "answer": string(),
            "answered": boolean(),
            "citations": array(CITATION),
            "hits": array(reference("Hit")),
            "model": string("Empty where the answer is quoted from the passages."),
            "usage": mapping(integer()),
            "passages_read": integer(),
            "notices": array(string()),
            "seconds": number(),
            "standalone": string("What was searched for: the question, made to stand alone where it points back."),
        },
        optional=("standalone",),
        closed=False,
    ),
    "Passages": record(
        {
            "collection": string(),
            "document_id": string(),
            "path": string(),
            "title": string(),
            "format": string(),
            "size": integer(),
            "metadata": {"type": "object"},
            "total": integer("Passages that the document has."),
            "at": nullable(integer("The number of the one that was asked for.")),
            "passages": array(
                record(
                    {
                        "number": integer("From 0."),
                        "chunk_id": string(),
                        "start_line": integer(),
                        "end_line": integer(),
                        "page": nullable(integer()),
                        "heading": string(),
                        "text": string(),
                        "overlap": integer("So many characters at the start end the passage before too."),
                    }
                )
            ),
        }
    ),
    "Collections": record(
        {
            "home": string(),
            "collections": array(
                record({**SUMMARY, "error": string()}, optional=(*list(SUMMARY)[1:], "error")),
            ),
        }
    ),
    "Collection": record(
        {
            **SUMMARY,
            "folder": string(),
            "digest": string(),
            "metric": string(),
            "query_prefix": string(),
            "document_prefix": string(),
            "chunker": {"type": "object"},
            "created": string(),
            "segments": array(
                record(
                    {
                        "id": string(),
                        "rows": integer(),
                        "deleted": integer(),
                        "index": {"type": ["object", "null"], "description": "Null where every vector is compared."},
                        "lexical": boolean("Whether its words are indexed; the first search does it otherwise."),
                    }
                )
            ),
            "bytes": integer(),
            "files": array(record({"path": string(), "title": string(), "chunks": integer()})),
        }
    ),
    "Removed": record({"removed": string()}),
    "Upload": record({"name": string(), "bytes": integer()}),
    "Uploads": record({"files": array(reference("Upload"))}),
    "Folder": record(
        {"path": string(), "roots": array(string()), "folders": array(string()), "files": array(string())}
    ),
    "Job": record(
        {
            "id": string(),
            "kind": string(enum=["index", "pull", "map"]),
            "collection": string(),
            "paths": array(string()),
            "model": string(),
            "state": string(enum=["waiting", "running", "done", "failed", "canceled"]),
            "progress": {"type": "object"},
            "result": {"type": ["object", "null"]},
            "error": {"type": ["object", "null"]},
            "seconds": number(),
        },
        optional=("collection", "paths", "model"),
    ),
    "Jobs": record({"jobs": array(reference("Job"))}),
    "Models": record(
        {
            "embedded": boolean("Whether the server inside the program answers."),
            "models": array(
                record(
                    {
                        "name": string(),
                        "size": integer(),
                        "digest": string(),
                        "capabilities": array(string()),
                        "modified_at": string(),
                    }
                )
            ),
            "available": array(record({"name": string(), "size": integer(), "licence": string()})),
        }
    ),
    "Message": record({"role": string(enum=["system", "user", "assistant"]), "content": string(maxLength=200_000)}),
    "Status": record({"status": string()}),
}
