"""The OpenAPI document says what is there: every operation, every reply."""

import httpx
import pytest

from pipeline.web.app import ALL_SCHEMAS, OPERATIONS
from pipeline.web.operation import JSON

jsonschema = pytest.importorskip("jsonschema", reason="pip install 'pipeline[test]'")

CALLS = {
    "search": "/api/collections/notes/search?q=keys&explain=true&highlight=true",
    "search_several": "/api/search?q=keys&collections=notes&parent=1&per_document=1",
    "collections": "/api/collections",
    "collection": "/api/collections/notes",
    "uploads": "/api/collections/notes/uploads",
    "folder": "/api/folders?path=texts",
    "jobs": "/api/jobs",
    "models": "/api/models",
    "v1_models": "/v1/models",
    "health": "/healthz",
}


def test_document_lists_every_operation(client: httpx.Client) -> None:
    """Paths, methods and parameters are those that are answered."""
    document = client.get("/api/openapi.json").json()
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert described == {(operation.path, operation.method) for operation in OPERATIONS}
    names = [item["operationId"] for methods in document["paths"].values() for item in methods.values()]
    assert len(set(names)) == len(names)
    for operation in OPERATIONS:
        wanted = {part[1:-1] for part in operation.path.split("/") if part.startswith("{")}
        assert wanted == {each.name for each in operation.parameters if each.place == "path"}


def test_schemas_are_schemas(client: httpx.Client) -> None:
    """Every schema is valid, and every reference leads somewhere."""
    document = client.get("/api/openapi.json").json()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = client.get("/api/openapi.json").text
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(ALL_SCHEMAS)


@pytest.mark.parametrize("name", CALLS)
def test_replies_are_as_described(client: httpx.Client, name: str) -> None:
    """A reply has all that its schema requires, and nothing else."""
    reply = client.get(CALLS[name]).raise_for_status()
    operation = next(each for each in OPERATIONS if each.name == name)
    schema = {**operation.replies[200][JSON], "components": {"schemas": ALL_SCHEMAS}}
    jsonschema.validate(reply.json(), schema)
