"""POST /v1/embeddings: texts come in, vectors as numbers or as base64 of little-endian float32 go out."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from pipeline.server import decode
from pipeline.server.embedding import embed
from pipeline.server.exchange import Refusal, Reply, Request
from pipeline.server.service import Service
from pipeline.server.v1.dialect import json_reply, native, read, speaks, whole

_EMBED: dict[str, decode.Check] = {
    "input": decode.anything,
    "model": decode.string,
    "dimensions": decode.integer,
    "encoding_format": decode.string,
}
_ENCODINGS = ("", "float", "base64")


@speaks
def embeddings(service: Service, request: Request) -> Reply:
    given = read(request.body, "EmbedRequest", _EMBED)
    encoding = given.get("encoding_format", "")
    if encoding.lower() not in _ENCODINGS:
        text = f"Invalid value for 'encoding_format' = {encoding}. Supported values: ['float', 'base64']."
        raise Refusal(400, text)
    texts = given.get("input")
    if texts is None or texts == []:
        raise Refusal(400, "invalid input")
    model = given.get("model", "")
    body = {"model": model, "input": texts or [""], "dimensions": given.get("dimensions", 0)}
    made = whole(embed(service, native(request, body)))
    tokens = made.get("prompt_eval_count", 0)
    data = [
        {"object": "embedding", "embedding": _written(vector, encoding.lower()), "index": index}
        for index, vector in enumerate(made["embeddings"])
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_reply({"object": "list", "data": data, "model": model, "usage": usage})


def _written(vector: list[float], encoding: str) -> Any:
    return base64.b64encode(np.array(vector, "<f4").tobytes()).decode() if encoding == "base64" else vector
