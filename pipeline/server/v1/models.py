"""GET /v1/models and /v1/models/:model: the models in the store as the dialect's cards."""

from __future__ import annotations

from typing import Any

from pipeline.server import library
from pipeline.server.exchange import Reply, Request
from pipeline.server.service import Service
from pipeline.server.v1.dialect import json_reply, native, owner, seconds, speaks, whole

ONE = "/v1/models/"


@speaks
def models(service: Service, request: Request) -> Reply:
    listed = whole(library.tags(service, request))["models"]
    return json_reply({"object": "list", "data": [_card(row["model"], row["modified_at"]) for row in listed]})


@speaks
def model(service: Service, request: Request) -> Reply:
    """The card of the model that the path names, whatever slashes and colons are in the name."""
    name = request.path.removeprefix(ONE)
    shown = whole(library.show(service, native(request, {"name": name})))
    return json_reply(_card(name, shown["modified_at"]))


def _card(name: str, modified_at: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": seconds(modified_at), "owned_by": owner(name)}
