"""What /api/chat and /api/generate share: a leased engine and its events come in, a reply goes out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.server import prompts
from pipeline.server.durations import nanoseconds
from pipeline.server.engine import EngineStream
from pipeline.server.engine_socket import EngineRefusal
from pipeline.server.exchange import Refusal, Reply, Request, json_reply, ndjson_reply
from pipeline.server.facts import COMPLETION, THINKING, TOOLS
from pipeline.server.options import Options
from pipeline.server.pool import Lease
from pipeline.server.service import Chosen, Service

Line = dict[str, Any]
_LITERAL = ("const", "default", "enum", "examples", "required", "allOf")
Merge = Callable[[list[Line]], Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One generation: who asked, with what, on which engine, and since when."""

    request: Request
    chosen: Chosen
    options: Options
    lease: Lease
    context: int
    started: float
    loaded: float

    def durations(self) -> dict[str, int]:
        return {
            "total_duration": nanoseconds(time.perf_counter() - self.started),
            "load_duration": nanoseconds(self.loaded - self.started),
        }


def begin(service: Service, request: Request, chosen: Chosen, given: dict[str, Any], started: float) -> Work:
    """Load the model, or find it loaded, and hold it."""
    options = service.options(chosen, given.get("options", {}))
    lease = service.lease(chosen, options, given.get("keep_alive"), request.cancellation)
    return Work(
        request=request,
        chosen=chosen,
        options=options,
        lease=lease,
        context=service.context(chosen, options),
        started=started,
        loaded=time.perf_counter(),
    )


def require(chosen: Chosen, capability: str, what: str) -> None:
    """Refuse a model that cannot do what is asked of it."""
    if capability in chosen.facts.capabilities:
        return
    if capability == COMPLETION:
        raise Refusal(400, f'"{chosen.name}" does not support {what}')
    if capability == THINKING:
        raise Refusal(400, f'"{chosen.name}" does not support thinking')
    raise Refusal(400, f"{chosen.full_name} does not support {what}")


def check_request(given: dict[str, Any], chosen: Chosen, *, what: str) -> None:
    require(chosen, COMPLETION, what)
    if given.get("tools"):
        require(chosen, TOOLS, "tools")
    if given.get("think"):
        require(chosen, THINKING, "thinking")
    if given.get("images"):
        raise Refusal(400, "this model does not support images")


def engine_body(work: Work, *, predict: int) -> dict[str, Any]:
    """The fields of an engine request that say how to sample."""
    return {
        **work.options.sampling,
        "n_predict": predict,
        "stop": list(work.options.stop),
        "cache_prompt": True,
    }


def room(work: Work, prompt_tokens: int) -> int:
    """How many tokens may be generated: what was asked for, within the context that was asked for."""
    left = work.context - prompt_tokens
    if left <= 0:
        raise Refusal(400, prompts.TOO_LONG)
    wanted = work.options.num_predict
    return left if wanted < 0 else min(wanted, left)


def schema(value: Any) -> dict[str, Any] | None:
    """`format` as a JSON schema: none, any object, or the one that was given."""
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "object"}
    if isinstance(value, dict):
        return closed(value)
    text = json.dumps(json.dumps(value, ensure_ascii=False), ensure_ascii=False)
    raise Refusal(500, f'invalid format: {text}; expected "json" or a valid JSON Schema object')


def closed(value: Any) -> Any:
    """A schema whose objects have the properties they name and no others, unless they say so themselves.

    That is how the real server reads schemas; left open, small models add properties without end.
    """
    if isinstance(value, list):
        items: list[Any] = value
        return [closed(item) for item in items]
    if not isinstance(value, dict):
        return value
    given: dict[str, Any] = value
    found = {name: item if name in _LITERAL else closed(item) for name, item in given.items()}
    if isinstance(given.get("properties"), dict) and "allOf" not in given:
        found.setdefault("additionalProperties", False)
    return found


def reply(
    work: Work,
    path: str,
    body: dict[str, Any],
    *,
    lines: Callable[[EngineStream], Iterable[Line]],
    merge: Merge | None,
) -> Reply:
    """Generate. With `merge` the reply is one object made of all lines, without it the lines are streamed."""
    work.lease.wait_turn(work.request.cancellation)
    stream = work.lease.engine.stream(path, body, work.request.cancellation)

    def finish() -> None:
        stream.close()
        work.lease.release()

    if merge is None:
        return ndjson_reply(lines(stream), cancellation=work.request.cancellation, describe=engine_text, finish=finish)
    try:
        return json_reply(merge(list(lines(stream))))
    finally:
        finish()


def engine_text(error: Exception) -> str:
    """The engine's error in the words of the real server, where it has words for it."""
    text = str(error)
    if isinstance(error, EngineRefusal) and "exceeds the available context size" in text:
        return prompts.TOO_LONG
    return text


def metrics(timings: dict[str, Any]) -> dict[str, int]:
    """Counts and durations as the engine measured them; tokens found in its cache count as prompt tokens."""
    return {
        "prompt_eval_count": timings.get("cache_n", 0) + timings.get("prompt_n", 0),
        "prompt_eval_duration": nanoseconds(timings.get("prompt_ms", 0.0) / 1000),
        "eval_count": timings.get("predicted_n", 0),
        "eval_duration": nanoseconds(timings.get("predicted_ms", 0.0) / 1000),
    }


def without_zeros(fields: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in fields.items() if value}


def log_probabilities(entries: list[dict[str, Any]], *, top: int) -> list[dict[str, Any]]:
    return [
        {**_token(entry), "top_logprobs": [_token(other) for other in entry.get("top_logprobs", [])[:top]]}
        if top
        else _token(entry)
        for entry in entries
    ]


def _token(entry: dict[str, Any]) -> dict[str, Any]:
    token = entry.get("token", "")
    return {"token": token, "logprob": entry.get("logprob", 0.0), "bytes": list(token.encode())}
