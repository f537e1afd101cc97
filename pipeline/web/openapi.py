"""The OpenAPI document of the operations: they and the schemas come in, the document goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.version import VERSION
from pipeline.web.operation import JSON, Operation
from pipeline.web.schema import Schema, reference

REASONS = {
    200: "Done.",
    201: "Taken.",
    202: "Begun.",
    400: "The request cannot be understood.",
    401: "The token is missing or wrong.",
    403: "Not allowed.",
    404: "There is no such thing.",
    409: "Not in this state, or not with this model.",
    413: "Too large.",
    429: "Too many requests.",
    500: "A collection is damaged, or a defect.",
    502: "The model server failed, or cannot be reached.",
    503: "Other work has to end first, or the server stops.",
    507: "The disk is full, or may not be written.",
}
ALWAYS = (400, 429, 500)


def openapi_document(
    operations: Sequence[Operation], schemas: Mapping[str, Schema], *, with_token: bool
) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, with_token=with_token)
    components: dict[str, Any] = {"schemas": dict(schemas)}
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pipeline",
            "version": VERSION,
            "description": "Search collections, ask them, keep them. Errors are "
            '`{"error": {"type", "message", "hint"}}` everywhere.',
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": components,
    }


def _described(operation: Operation, *, with_token: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": _responses(operation, with_token=with_token),
    }
    if operation.parameters:
        described["parameters"] = [
            {
                "name": each.name,
                "in": each.place,
                "required": each.required or each.place == "path",
                "schema": each.schema,
                **({"style": "form", "explode": False} if each.schema["type"] == "array" else {}),
            }
            for each in operation.parameters
        ]
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": operation.body}}}
    if operation.takes_file:
        described["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
    if with_token and not operation.public:
        described["security"] = [{"token": []}]
    return described


def _responses(operation: Operation, *, with_token: bool) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {
            "description": REASONS[status],
            "content": {kind: {"schema": schema} for kind, schema in content.items()},
        }
        for status, content in operation.replies.items()
    }
    errors = {*ALWAYS, *operation.errors}
    if with_token and not operation.public:
        errors.add(401)
    if operation.body is not None:
        errors.add(413)
    for status in sorted(errors):
        content = {JSON: {"schema": reference("Error")}}
        responses[str(status)] = {"description": REASONS[status], "content": content}
    return responses
