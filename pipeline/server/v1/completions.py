"""POST /v1/completions: a prompt comes in; its continuation goes out, whole or in chunks."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pipeline.server import decode
from pipeline.server.exchange import Refusal, Reply, Request
from pipeline.server.generate import generate
from pipeline.server.service import Service
from pipeline.server.v1.dialect import (
    DONE,
    FINGERPRINT,
    Line,
    event,
    event_stream,
    go_type,
    json_reply,
    native,
    object_of,
    read,
    seconds,
    short_number,
    speaks,
    usage,
    whole,
)

_COMPLETE: dict[str, decode.Check] = {
    "model": decode.string,
    "prompt": decode.string,
    "frequency_penalty": short_number,
    "max_tokens": decode.integer,
    "presence_penalty": short_number,
    "seed": decode.integer,
    "stop": decode.anything,
    "stream": decode.boolean,
    "stream_options": object_of("StreamOptions"),
    "temperature": short_number,
    "top_p": short_number,
    "suffix": decode.string,
    "logprobs": decode.integer,
}


@speaks
def completions(service: Service, request: Request) -> Reply:
    given = read(request.body, "CompletionRequest", _COMPLETE)
    reply = generate(service, native(request, _native_body(given)))
    identity = f"cmpl-{random.randrange(999)}"  # noqa: S311  a label, as the real server makes it
    if not given.get("stream", False):
        line = whole(reply)
        return json_reply(
            {
                "id": identity,
                "object": "text_completion",
                "created": seconds(line["created_at"]),
                "model": line["model"],
                "system_fingerprint": FINGERPRINT,
                "choices": [_choice(line)],
                "usage": usage(line),
            }
        )
    with_usage = given.get("stream_options", {}).get("include_usage") is True
    return event_stream(reply, request, lambda line: _chunks(identity, line, with_usage=with_usage))


def _native_body(given: Line) -> Line:
    options: Line = {
        "temperature": given.get("temperature", 1.0),
        "top_p": given.get("top_p") or 1.0,
        "frequency_penalty": given.get("frequency_penalty", 0),
        "presence_penalty": given.get("presence_penalty", 0),
    }
    names = {"max_tokens": "num_predict", "seed": "seed"}
    options |= {name: given[field] for field, name in names.items() if field in given}
    stop = given.get("stop")
    if isinstance(stop, str):
        options["stop"] = [stop]
    elif isinstance(stop, list):
        wrong = [text for text in stop if not isinstance(text, str)]
        if wrong:
            raise Refusal(400, f"invalid type for 'stop' field: {go_type(wrong[0])}")
        options["stop"] = stop
    body: Line = {
        "model": given.get("model", ""),
        "prompt": given.get("prompt", ""),
        "suffix": given.get("suffix", ""),
        "stream": given.get("stream", False),
        "options": options,
    }
    top = given.get("logprobs", 0)
    return {**body, "logprobs": True, "top_logprobs": top} if top > 0 else body


def _choice(line: Line) -> Line:
    return {"text": line["response"], "index": 0, "finish_reason": line.get("done_reason") or None}


def _chunks(identity: str, line: Line, *, with_usage: bool) -> Iterator[bytes]:
    chunk: Line = {
        "id": identity,
        "object": "text_completion",
        "created": seconds(line["created_at"]),
        "choices": [_choice(line)],
        "model": line["model"],
        "system_fingerprint": FINGERPRINT,
    }
    yield event({**chunk, "usage": usage({})} if with_usage else chunk)
    if line["done"]:
        if with_usage:
            yield event({**chunk, "choices": [], "usage": usage(line)})
        yield DONE
