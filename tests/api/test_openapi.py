"""Requests and records against Ollama's published OpenAPI description, of which `openapi_facts.json` holds the fields."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.api import endpoints
from pipeline.api.endpoints import Call, StreamCall
from pipeline.api.replies import (
    ChatReply,
    EmbedReply,
    GenerateReply,
    Progress,
    ShowReply,
)

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "openapi_facts.json").read_text())

# Fields that the server's source has (`api/types.go`) and its description has not.
BEYOND = {
    "POST /api/generate": {"template", "context", "truncate", "shift"},
    "POST /api/chat": {"truncate", "shift"},
    "POST /api/show": {"system", "options"},
    "POST /api/create": {"files", "adapters", "draft_files", "draft_quantize", "remote_host", "requires", "info"},
}

GENERATING: Any = {
    "format": "json",
    "options": {"seed": 1},
    "keep_alive": "5m",
    "think": "high",
    "truncate": False,
    "shift": False,
    "logprobs": True,
    "top_logprobs": 3,
}
FULL: dict[str, Call[Any] | StreamCall[Any]] = {
    "POST /api/generate": endpoints.generate_stream(
        "m",
        "p",
        {
            **GENERATING,
            "suffix": "s",
            "system": "s",
            "template": "t",
            "context": [1],
            "raw": True,
            "images": [b"x"],
        },
    ),
    "POST /api/chat": endpoints.chat_stream(
        "m", [{"role": "user", "content": "c"}], {**GENERATING, "tools": [{"type": "function", "function": {}}]}
    ),
    "POST /api/embed": endpoints.embed(
        "m", ["a"], truncate=True, dimensions=3, keep_alive="5m", options={"num_ctx": 9}
    ),
    "GET /api/tags": endpoints.tags(),
    "GET /api/ps": endpoints.ps(),
    "POST /api/show": endpoints.show("m", verbose=True, system="s", options={"num_ctx": 9}),
    "POST /api/create": endpoints.create_stream(
        "m",
        "base",
        {
            "files": {"a": "sha256:0"},
            "adapters": {"a": "sha256:0"},
            "draft_files": {"a": "sha256:0"},
            "draft_quantize": "q4_K_M",
            "remote_host": "h",
            "template": "t",
            "license": ["MIT"],
            "system": "s",
            "parameters": {"seed": 1},
            "messages": [{"role": "user", "content": "c"}],
            "quantize": "q4_K_M",
            "renderer": "r",
            "parser": "p",
            "requires": "0.14.0",
            "info": {"a": 1},
        },
    ),
    "POST /api/copy": endpoints.copy("a", "b"),
    "POST /api/pull": endpoints.pull_stream("m", insecure=True),
    "POST /api/push": endpoints.push_stream("m", insecure=True),
    "DELETE /api/delete": endpoints.delete("m"),
    "GET /api/version": endpoints.version(),
}
KINDS: dict[type, set[str]] = {
    str: {"string"},
    bool: {"boolean"},
    int: {"integer", "number"},
    float: {"number"},
    list: {"array"},
    dict: {"object"},
}


def test_every_endpoint_of_the_description_is_there() -> None:
    """The description and the client know the same endpoints, but for those that it leaves out."""
    assert FULL.keys() == FACTS.keys()


@pytest.mark.parametrize("name", FACTS)
def test_method_and_path(name: str) -> None:
    """Each is asked for where the description has it."""
    call = FULL[name]
    method = call.method if isinstance(call, Call) else "POST"
    assert f"{method} {call.path}" == name


@pytest.mark.parametrize("name", [name for name in FACTS if "request" in FACTS[name]])
def test_request_has_every_field_in_its_type(name: str) -> None:
    """A request with all our arguments has all the fields that are described, each of a type that is, and no other
    than those which the source has beyond them."""
    described = FACTS[name]["request"]
    body = json.loads(json.dumps(FULL[name].body))
    assert body.keys() - described["fields"].keys() == BEYOND.get(name, set())
    assert described["fields"].keys() - body.keys() - {"stream"} == set()
    assert set(described["required"]) <= body.keys()
    for field, kinds in described["fields"].items():
        if field in body and kinds != ["any"]:
            assert KINDS[type(body[field])] & set(kinds), f"{field}: {body[field]!r} is none of {kinds}"


@pytest.mark.parametrize(
    ("name", "record", "elsewhere"),
    [
        ("POST /api/generate", GenerateReply, set()),
        ("POST /api/chat", ChatReply, set()),
        ("POST /api/embed", EmbedReply, {"embeddings"}),
        ("POST /api/show", ShowReply, set()),
        ("POST /api/create", Progress, set()),
        ("POST /api/pull", Progress, set()),
        ("POST /api/push", Progress, set()),
    ],
)
def test_record_has_every_field_of_the_reply(name: str, record: type[Any], elsewhere: set[str]) -> None:
    """What is described of a reply is a typed field, not an extra one; embeddings become the matrix."""
    fields = {field.name for field in dataclasses.fields(record)}
    assert FACTS[name]["reply"]["fields"].keys() - fields == elsewhere
