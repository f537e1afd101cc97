"""Operations on collections: what there is, what is in it, removing, uploads, indexing; and on jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.chunk import parse_chunker
from pipeline.errors import UsageError
from pipeline.ingest import IndexProgress, IndexReport
from pipeline.server.exchange import Reply, json_reply
from pipeline.shapes import collection_json, collections_json
from pipeline.store import remove_collection
from pipeline.web.confined import confined, folder_listing
from pipeline.web.events import event_reply
from pipeline.web.failures import Conflict
from pipeline.web.jobs import Job
from pipeline.web.operation import EVENTS, JSON, Call, Operation, Parameter
from pipeline.web.schema import array, boolean, integer, record, reference, string
from pipeline.web.searching import COLLECTION
from pipeline.web.service import Service

SHOWN_FAILURES = 50
"""Of a job that goes on; its result has all of them."""

JOB = Parameter(name="job", schema=string(maxLength=20), place="path", required=True)
FILE = Parameter(name="file", schema=string("A plain file name.", maxLength=200), place="path", required=True)


def collections(service: Service, _: Call) -> Reply:
    return json_reply(collections_json(service.library.config.home))


def collection(service: Service, call: Call) -> Reply:
    return json_reply(collection_json(service.library.collection(call["collection"]).snapshot))


def remove(service: Service, call: Call) -> Reply:
    name = call["collection"]
    remove_collection(service.library.layout(name))
    service.library.forget(name)
    return json_reply({"removed": name})


def uploads(service: Service, call: Call) -> Reply:
    return json_reply({"files": service.uploads.files(call["collection"])})


def upload(service: Service, call: Call) -> Reply:
    return json_reply(service.uploads.take(call["collection"], call["file"], call.request.pieces()), 201)


def remove_upload(service: Service, call: Call) -> Reply:
    service.uploads.remove(call["collection"], call["file"])
    return json_reply({"removed": call["file"]})


def folder(service: Service, call: Call) -> Reply:
    return json_reply(folder_listing(call["path"], service.settings.roots))


def index(service: Service, call: Call) -> Reply:
    name = call["collection"]
    paths = [confined(text, service.settings.roots) for text in call["paths"]]
    if call["uploads"]:
        paths.append(service.uploads.folder(name))
    if not paths:
        raise UsageError("there is nothing to index", hint='give "paths", or "uploads": true')
    if service.jobs.running_for("index", collection=name):
        raise Conflict(f"collection {name!r} is being indexed", hint="wait until that job has ended, or cancel it")
    parse_chunker(*call["chunker"], max_tokens=call.get("chunk_tokens"))
    shown = [str(path) for path in paths]
    job = service.jobs.start(
        "index", {"collection": name, "paths": shown}, lambda job: _index(service, job, name, paths, call)
    )
    return json_reply(job.to_json(), 202)


def jobs(service: Service, _: Call) -> Reply:
    return json_reply({"jobs": [job.to_json() for job in service.jobs.all()]})


def job(service: Service, call: Call) -> Reply:
    return json_reply(service.jobs.get(call["job"]).to_json())


def job_events(service: Service, call: Call) -> Reply:
    cancellation = call.request.cancellation
    return event_reply(service.jobs.get(call["job"]).events(cancellation), cancellation)


def cancel(service: Service, call: Call) -> Reply:
    found = service.jobs.get(call["job"])
    found.cancel()
    return json_reply(found.to_json())


class _Progress(IndexProgress):
    """Counts for a job; each call looks whether it has been told to stop."""

    def __init__(self, job: Job, report: IndexReport) -> None:
        self._job = job
        self._report = report
        self._files = self._files_done = self._planned = self._done = 0

    def walked(self, files: int) -> None:
        self._files = files
        self.tell()

    def file_done(self) -> None:
        self._files_done += 1
        self.tell()

    def chunks_planned(self, count: int) -> None:
        self._planned += count
        self.tell()

    def chunks_done(self, count: int) -> None:
        self._done += count
        self.tell()

    def tell(self) -> None:
        failures = self._report.failures
        self._job.report(
            files=self._files,
            files_done=self._files_done,
            chunks_planned=self._planned,
            chunks_done=self._done,
            failed=len(failures),
            failures=[{"path": each.path, "error": each.error} for each in failures[:SHOWN_FAILURES]],
        )


def _index(service: Service, job: Job, name: str, paths: list[Path], call: Call) -> dict[str, Any]:
    report = IndexReport(collection=name)
    try:
        service.library.for_index(name, call.get("model")).index(
            *paths,
            chunker=call["chunker"],
            chunk_tokens=call.get("chunk_tokens"),
            allow_empty=call["allow_empty"],
            progress=_Progress(job, report),
            report=report,
        )
    finally:
        job.note(kept=report.to_json())
    return report.to_json()


OPERATIONS = (
    Operation(
        method="GET",
        path="/api/collections",
        name="collections",
        summary="The collections, as `pipeline collections list --json` prints them.",
        tag="collections",
        handler=collections,
        replies={200: {JSON: reference("Collections")}},
    ),
    Operation(
        method="GET",
        path="/api/collections/{collection}",
        name="collection",
        summary="What is in a collection, as `pipeline collections show --json` prints it.",
        tag="collections",
        handler=collection,
        parameters=(COLLECTION,),
        replies={200: {JSON: reference("Collection")}},
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path="/api/collections/{collection}",
        name="remove_collection",
        summary="Removes a collection. Its documents stay where they are.",
        tag="collections",
        handler=remove,
        parameters=(COLLECTION,),
        replies={200: {JSON: reference("Removed")}},
        errors=(404, 409),
    ),
    Operation(
        method="POST",
        path="/api/collections/{collection}/index",
        name="index",
        summary="Starts to bring a collection up to date with files and folders of the server, or with its uploads.",
        tag="indexing",
        handler=index,
        parameters=(COLLECTION,),
        body=record(
            {
                "paths": array(string(minLength=1, maxLength=4_000), maxItems=100, default=[]),
                "uploads": boolean("The collection's uploaded files too.", default=False),
                "model": string("Of a new collection.", minLength=1, maxLength=300),
                "chunker": array(string(maxLength=100), "How a new collection is cut.", maxItems=20, default=[]),
                "chunk_tokens": integer(minimum=16, maximum=1_000_000),
                "allow_empty": boolean(default=False),
            },
            optional=("paths", "uploads", "model", "chunker", "chunk_tokens", "allow_empty"),
        ),
        replies={202: {JSON: reference("Job")}},
        errors=(403, 409, 503),
    ),
    Operation(
        method="GET",
        path="/api/collections/{collection}/uploads",
        name="uploads",
        summary="The files that were uploaded for a collection.",
        tag="indexing",
        handler=uploads,
        parameters=(COLLECTION,),
        replies={200: {JSON: reference("Uploads")}},
    ),
    Operation(
        method="PUT",
        path="/api/collections/{collection}/uploads/{file}",
        name="upload",
        summary="Takes a file, the body, to be indexed with the collection's other uploads.",
        tag="indexing",
        handler=upload,
        parameters=(COLLECTION, FILE),
        takes_file=True,
        replies={201: {JSON: reference("Upload")}},
        errors=(413, 507),
    ),
    Operation(
        method="DELETE",
        path="/api/collections/{collection}/uploads/{file}",
        name="remove_upload",
        summary="Removes an uploaded file; its passages go with the next index.",
        tag="indexing",
        handler=remove_upload,
        parameters=(COLLECTION, FILE),
        replies={200: {JSON: reference("Removed")}},
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/api/folders",
        name="folder",
        summary="What a folder of the server holds, among those that may be indexed.",
        tag="indexing",
        handler=folder,
        parameters=(Parameter(name="path", schema=string(maxLength=4_000, default=".")),),
        replies={200: {JSON: reference("Folder")}},
        errors=(403,),
    ),
    Operation(
        method="GET",
        path="/api/jobs",
        name="jobs",
        summary="Jobs, newest first.",
        tag="jobs",
        handler=jobs,
        replies={200: {JSON: reference("Jobs")}},
    ),
    Operation(
        method="GET",
        path="/api/jobs/{job}",
        name="job",
        summary="How far a job is.",
        tag="jobs",
        handler=job,
        parameters=(JOB,),
        replies={200: {JSON: reference("Job")}},
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/api/jobs/{job}/events",
        name="job_events",
        summary="A job as it goes on: events `progress`, and at last `end`, each with the whole job.",
        tag="jobs",
        handler=job_events,
        parameters=(JOB,),
        replies={200: {EVENTS: string()}},
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path="/api/jobs/{job}",
        name="cancel",
        summary="Stops a job; what it has done is kept.",
        tag="jobs",
        handler=cancel,
        parameters=(JOB,),
        replies={200: {JSON: reference("Job")}},
        errors=(404,),
    ),
)
