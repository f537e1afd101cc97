"""Draws the fields of each endpoint from Ollama's OpenAPI description: `python openapi_facts.py openapi.yaml`.

Writes `openapi_facts.json` beside itself: for each path and method the fields of the request and of the reply, each with
its JSON types, and which are required. Only these facts are kept. Needs PyYAML.
"""

import json
import sys
from pathlib import Path
from typing import Any

FACTS = Path(__file__).with_suffix(".json")


def resolved(schema: Any, whole: dict[str, Any]) -> Any:
    while "$ref" in schema:
        place: Any = whole
        for part in schema["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        schema = place
    return schema


def types_of(schema: Any, whole: dict[str, Any]) -> list[str]:
    schema = resolved(schema, whole)
    if "oneOf" in schema:
        return sorted({kind for option in schema["oneOf"] for kind in types_of(option, whole)})
    return [schema.get("type", "any")]


def fields_of(schema: Any, whole: dict[str, Any]) -> dict[str, Any]:
    schema = resolved(schema, whole)
    properties = {name: types_of(value, whole) for name, value in schema.get("properties", {}).items()}
    return {"fields": properties, "required": schema.get("required", [])}


def facts(whole: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            if method not in ("get", "post", "delete", "head"):
                continue
            entry: dict[str, Any] = {}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                entry["request"] = fields_of(content["schema"], whole)
            for content in operation.get("responses", {}).get("200", {}).get("content", {}).values():
                entry.setdefault("reply", fields_of(content["schema"], whole))
            found[f"{method.upper()} {path}"] = entry
    return found


if __name__ == "__main__":
    import yaml

    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        FACTS.write_text(json.dumps(facts(yaml.safe_load(file)), indent=1) + "\n")
