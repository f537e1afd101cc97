"""POST /v1/chat/completions: a conversation comes in; the next message goes out, whole or in chunks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pipeline.server import chat as native_chat
from pipeline.server import decode
from pipeline.server.exchange import Refusal, Reply, Request
from pipeline.server.service import Service
from pipeline.server.v1.chat_messages import dialect_calls, messages, native_messages
from pipeline.server.v1.dialect import (
    DONE,
    FINGERPRINT,
    Line,
    event,
    event_stream,
    json_reply,
    native,
    number,
    object_of,
    read,
    seconds,
    speaks,
    think,
    tools,
    usage,
    whole,
)

_CHAT: dict[str, decode.Check] = {
    "model": decode.string,
    "messages": messages,
    "stream": decode.boolean,
    "stream_options": object_of("StreamOptions"),
    "max_tokens": decode.integer,
    "seed": decode.integer,
    "stop": decode.anything,
    "temperature": number,
    "frequency_penalty": number,
    "presence_penalty": number,
    "top_p": number,
    "response_format": object_of("ResponseFormat"),
    "tools": tools,
    "reasoning": object_of("Reasoning"),
    "reasoning_effort": decode.string,
    "logprobs": decode.boolean,
    "top_logprobs": decode.integer,
}
_OPTIONS = {
    "max_tokens": "num_predict",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}


@speaks
def chat_completions(service: Service, request: Request) -> Reply:
    given = read(request.body, "ChatCompletionRequest", _CHAT)
    if not given.get("messages"):
        raise Refusal(400, "[] is too short - 'messages'")
    streamed = given.get("stream", False)
    reply = native_chat.chat(service, native(request, _native_body(given)))
    identity = f"chatcmpl-{random.randrange(999)}"  # noqa: S311  a label, as the real server makes it
    if not streamed:
        return json_reply(_completion(identity, whole(reply)))
    chunks = _Chunks(identity, with_usage=given.get("stream_options", {}).get("include_usage") is True)
    return event_stream(reply, request, chunks.of)


def _native_body(given: Line) -> Line:
    options: Line = {name: given[field] for field, name in _OPTIONS.items() if field in given}
    options |= {"temperature": given.get("temperature", 1.0), "top_p": given.get("top_p", 1.0)}
    stop = given.get("stop")
    if isinstance(stop, str):
        options["stop"] = [stop]
    elif isinstance(stop, list):
        options["stop"] = [text for text in stop if isinstance(text, str)]
    reasoning = given.get("reasoning")
    effort = given.get("reasoning_effort", "") if reasoning is None else str(reasoning.get("effort") or "")
    body: Line = {
        "model": given.get("model", ""),
        "messages": native_messages(given["messages"]),
        "stream": given.get("stream", False),
        "options": options,
        **_format(given.get("response_format", {})),
        **think(effort),
    }
    return body | {name: given[name] for name in ("tools", "logprobs", "top_logprobs") if name in given}


def _format(wanted: Line) -> Line:
    kind = str(wanted.get("type", "")).strip().lower()
    if kind == "json_object":
        return {"format": "json"}
    schema: Any = wanted.get("json_schema")
    if kind == "json_schema" and isinstance(schema, dict):
        return {"format": schema.get("schema")}
    return {}


def _completion(identity: str, line: Line) -> Line:
    message = line["message"]
    calls = dialect_calls(message.get("tool_calls", []))
    spoken: Line = {"role": message["role"], "content": message["content"]}
    if message.get("thinking"):
        spoken["reasoning"] = message["thinking"]
    if calls:
        spoken["tool_calls"] = calls
    reason = line.get("done_reason", "")
    choice: Line = {"index": 0, "message": spoken, "finish_reason": _reason(reason, called=bool(calls)) or None}
    return {
        "id": identity,
        "object": "chat.completion",
        "created": seconds(line["created_at"]),
        "model": line["model"],
        "system_fingerprint": FINGERPRINT,
        "choices": [{**choice, **_logprobs(line)}],
        "usage": usage(line),
    }


def _reason(reason: str, *, called: bool) -> str:
    return "tool_calls" if reason == "stop" and called else reason


def _logprobs(line: Line) -> Line:
    return {"logprobs": {"content": line["logprobs"]}} if line.get("logprobs") else {}


class _Chunks:
    """The chunks of one stream: all have the first one's time, the first one has the role, the last one the reason."""

    def __init__(self, identity: str, *, with_usage: bool) -> None:
        self._identity = identity
        self._with_usage = with_usage
        self._created = 0
        self._begun = False
        self._called = False

    def of(self, line: Line) -> Iterator[bytes]:
        """The events of a native line."""
        message = line["message"]
        self._created = self._created or seconds(line["created_at"])
        calls = dialect_calls(message.get("tool_calls", []))
        self._called = self._called or bool(calls)
        says = message["content"] or message.get("thinking") or calls or line.get("logprobs")
        if says or not self._begun or not line["done"]:
            for delta, extra in self._deltas(message, calls, _logprobs(line)):
                yield self._chunk(line, [{"index": 0, "delta": delta, "finish_reason": None, **extra}])
            self._begun = True
        if line["done"]:
            reason = _reason(line.get("done_reason") or "stop", called=self._called)
            yield self._chunk(line, [{"index": 0, "delta": {}, "finish_reason": reason}])
            if self._with_usage:
                yield self._chunk(line, [], usage=usage(line))
            yield DONE

    def _deltas(self, message: Line, calls: list[Line], logprobs: Line) -> Iterator[tuple[Line, Line]]:
        """Reasoning and what follows it are apart also where one native line has both."""
        role: Line = {} if self._begun else {"role": "assistant"}
        thinking = {"reasoning": message["thinking"]} if message.get("thinking") else {}
        said: Line = {"content": message["content"]}
        called: Line = {"tool_calls": calls} if calls else {}
        if thinking and (message["content"] or calls):
            yield {**role, **thinking}, logprobs
            yield {**said, **called}, {}
        else:
            yield {**role, **said, **thinking, **called}, logprobs

    def _chunk(self, line: Line, choices: list[Line], **extra: Any) -> bytes:
        return event(
            {
                "id": self._identity,
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": line["model"],
                "system_fingerprint": FINGERPRINT,
                "choices": choices,
                **extra,
            }
        )
