"""Operations on the models of the server that answers: list, pull, remove."""

from __future__ import annotations

from typing import Any

from pipeline.api import Progress
from pipeline.server.exchange import Reply, json_reply
from pipeline.shapes import models_json
from pipeline.web.failures import Conflict
from pipeline.web.jobs import Job
from pipeline.web.operation import JSON, Call, Operation, Parameter
from pipeline.web.schema import record, reference, string
from pipeline.web.service import Service

MODEL_NAME = string("As the server has it.", minLength=1, maxLength=300)


def models(service: Service, _: Call) -> Reply:
    connection = service.library.connection
    return json_reply(models_json(connection.client.tags(), embedded=connection.embedded))


def pull(service: Service, call: Call) -> Reply:
    name = call["model"]
    if service.jobs.running_for("pull", model=name):
        raise Conflict(f"{name!r} is being pulled", hint="see /api/jobs")
    return json_reply(service.jobs.start("pull", {"model": name}, lambda job: _pull(service, job, name)).to_json(), 202)


def remove_model(service: Service, call: Call) -> Reply:
    service.library.client.delete(call["model"])
    return json_reply({"removed": call["model"]})


def _pull(service: Service, job: Job, name: str) -> dict[str, Any]:
    def show(progress: Progress) -> None:
        job.report(status=progress.status, bytes=progress.total or 0, bytes_done=progress.completed or 0)

    with service.library.own_client(job.cancellation) as client:
        client.pull(name, on_progress=show)
    return {"model": name}


OPERATIONS = (
    Operation(
        method="GET",
        path="/api/models",
        name="models",
        summary="The models on the server, as `pipeline models list --json` prints them.",
        tag="models",
        handler=models,
        replies={200: {JSON: reference("Models")}},
        errors=(502,),
    ),
    Operation(
        method="POST",
        path="/api/models/pull",
        name="pull",
        summary="Starts to pull a model onto the server.",
        tag="models",
        handler=pull,
        body=record({"model": MODEL_NAME}),
        replies={202: {JSON: reference("Job")}},
        errors=(409, 503),
    ),
    Operation(
        method="DELETE",
        path="/api/models/{model}",
        name="remove_model",
        summary="Removes a model from the server.",
        tag="models",
        handler=remove_model,
        parameters=(Parameter(name="model", schema=MODEL_NAME, place="path", required=True),),
        tail=True,
        replies={200: {JSON: reference("Removed")}},
        errors=(404, 502),
    ),
)
