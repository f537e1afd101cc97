"""POST /api/embed and /api/embeddings: texts come in, L2-normalised vectors in the same order go out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.server import decode
from pipeline.server.durations import nanoseconds
from pipeline.server.engine import Engine
from pipeline.server.exchange import JSON, Cancellation, Refusal, Reply, Request, encode, json_reply
from pipeline.server.service import Chosen, Service

TOO_LONG = "the input length exceeds the context length"
NO_ROOM = "input after truncation exceeds maximum context length"
NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
_UNKNOWN = 'model "{}" not found, try pulling it first'
_TEXTS_AT_ONCE = 16
"""As many as the engine has slots: it ends what it was given, so this bounds the work that a client who went leaves."""

_EMBED: dict[str, decode.Check] = {
    "model": decode.string,
    "input": decode.anything,
    "truncate": decode.boolean,
    "dimensions": decode.integer,
    "keep_alive": decode.keep_alive,
    "options": decode.mapping,
}
_EMBEDDINGS: dict[str, decode.Check] = {
    "model": decode.string,
    "prompt": decode.string,
    "keep_alive": decode.keep_alive,
    "options": decode.mapping,
}

Vectors = npt.NDArray[np.float32]


def embed(service: Service, request: Request) -> Reply:
    started = time.perf_counter()
    given = decode.decode(request.body, "EmbedRequest", _EMBED)
    name = given.get("model", "").strip()
    if not name:
        raise Refusal(404, "model '' not found")
    texts = _texts(given.get("input"))
    chosen = service.choose(name, unknown=_UNKNOWN)
    options = service.options(chosen, given.get("options", {}))
    lease = service.lease(chosen, options, given.get("keep_alive"), request.cancellation)
    try:
        loaded = time.perf_counter()
        if not texts:
            return json_reply({"model": name, "embeddings": []})
        _require_embeddings(chosen)
        limit = _Limit.of(chosen, service.context(chosen, options))
        inputs = _within_context(
            lease.engine, texts, limit, truncate=given.get("truncate", True), cancellation=request.cancellation
        )
        vectors, tokens = _in_batches(lease.engine, inputs, request.cancellation)
    finally:
        lease.release()
    vectors = _shortened(vectors, given.get("dimensions", 0))
    tail = {
        "total_duration": nanoseconds(time.perf_counter() - started),
        "load_duration": nanoseconds(loaded - started),
        "prompt_eval_count": tokens,
    }
    return _embed_reply(name, vectors, {key: value for key, value in tail.items() if value})


def embeddings(service: Service, request: Request) -> Reply:
    """The older endpoint: one prompt, one vector, as the engine makes it."""
    given = decode.decode(request.body, "EmbeddingRequest", _EMBEDDINGS)
    name = given.get("model", "").strip()
    if not name:
        raise Refusal(400, "model is required")
    chosen = service.choose(name, unknown=_UNKNOWN)
    options = service.options(chosen, given.get("options", {}))
    lease = service.lease(chosen, options, given.get("keep_alive"), request.cancellation)
    try:
        prompt = given.get("prompt", "")
        if not prompt:
            return json_reply({"embedding": []})
        _require_embeddings(chosen)
        limit = _Limit.of(chosen, service.context(chosen, options))
        try:
            inputs = _within_context(lease.engine, [prompt], limit, truncate=False, cancellation=request.cancellation)
        except Refusal as refusal:
            raise Refusal(500, refusal.text) from refusal
        vectors, _ = lease.engine.embed(inputs, request.cancellation)
    finally:
        lease.release()
    return json_reply({"embedding": _shortened(vectors, 0)[0].astype(np.float64).tolist()})


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list):
        items: list[Any] = value
        if all(isinstance(item, str) for item in items):
            return items
    raise Refusal(400, "invalid input type")


def _require_embeddings(chosen: Chosen) -> None:
    if not chosen.facts.is_embedding:
        raise Refusal(501, NO_EMBEDDINGS)


class _Limit:
    """How many tokens of text fit: the context less the special tokens that the engine puts around them."""

    def __init__(self, context: int, *, start: bool, end: bool) -> None:
        self.context = context
        self.text = context - start - end
        self.ends = end

    @classmethod
    def of(cls, chosen: Chosen, context: int) -> _Limit:
        facts = chosen.facts
        return cls(
            context,
            start=facts.flag("tokenizer.ggml.add_bos_token", default=True),
            end=facts.flag("tokenizer.ggml.add_eos_token", default=True),
        )


def _within_context(
    engine: Engine, texts: Sequence[str], limit: _Limit, *, truncate: bool, cancellation: Cancellation
) -> list[str | list[int]]:
    """Each text as it is when it fits, else cut to the limit by tokens (or refused)."""
    if limit.text <= 0:
        raise Refusal(400, NO_ROOM)
    inputs: list[str | list[int]] = []
    for text in texts:
        # A token stands for at least one byte of the text: short texts need not be counted.
        if len(text.encode()) < limit.text:
            inputs.append(text)
            continue
        cancellation.check()
        tokens = engine.tokenize(text, with_special=True)
        if len(tokens) <= limit.context:
            inputs.append(text)
        elif not truncate:
            raise Refusal(400, TOO_LONG)
        else:
            last = tokens[-1:] if limit.ends else []
            inputs.append(tokens[: limit.context - len(last)] + last)
    return inputs


def _in_batches(engine: Engine, inputs: list[str | list[int]], cancellation: Cancellation) -> tuple[Vectors, int]:
    parts: list[Vectors] = []
    tokens = 0
    for start in range(0, len(inputs), _TEXTS_AT_ONCE):
        vectors, count = engine.embed(inputs[start : start + _TEXTS_AT_ONCE], cancellation)
        parts.append(vectors)
        tokens += count
    return np.concatenate(parts), tokens


def _shortened(vectors: Vectors, dimensions: int) -> Vectors:
    """Rows of unit length; with `dimensions`, cut and brought back to unit length."""
    if 0 < dimensions < vectors.shape[1]:
        vectors = vectors[:, :dimensions]
    if not np.isfinite(vectors).all():
        raise Refusal(400, "embedding contains NaN or Inf values")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, 1e-12)


def _embed_reply(name: str, vectors: Vectors, tail: dict[str, int]) -> Reply:
    """The reply with each number in nine digits, which name every float32 exactly and are quick to write."""
    pattern = "[" + ",".join(["%.9g"] * vectors.shape[1]) + "]"
    rows = ",".join([pattern % tuple(row) for row in vectors.tolist()]).encode()
    head = encode({"model": name})[:-1]
    end = encode(tail)[1:]
    body = head + b',"embeddings":[' + rows + b"]" + (b"," if tail else b"") + end
    return Reply(status=200, headers={"content-type": JSON}, body=body)
