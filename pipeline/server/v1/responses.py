"""POST /v1/responses: text or items come in; a response goes out, whole or as its events."""

from __future__ import annotations

import random
import time
from typing import Any

from pipeline.server import chat as native_chat
from pipeline.server import decode
from pipeline.server.exchange import Reply, Request
from pipeline.server.service import Service
from pipeline.server.v1.chat_messages import dialect_calls
from pipeline.server.v1.dialect import (
    Line,
    event_stream,
    json_reply,
    native,
    number,
    object_of,
    read,
    seconds,
    speaks,
    think,
    whole,
)
from pipeline.server.v1.response_events import ResponseEvents
from pipeline.server.v1.response_input import native_messages, native_tools
from pipeline.server.v1.response_object import message_item, response_object, usage

_RESPONSES: dict[str, decode.Check] = {
    "model": decode.string,
    "background": decode.boolean,
    "include": decode.strings,
    "input": decode.anything,
    "instructions": decode.string,
    "max_output_tokens": decode.integer,
    "reasoning": object_of("ResponsesReasoning"),
    "temperature": number,
    "text": object_of("ResponsesText"),
    "top_p": number,
    "truncation": decode.string,
    "tools": decode.tools,
    "stream": decode.boolean,
}
_STREAM_HEADERS = {"cache-control": "no-cache"}


@speaks
def responses(service: Service, request: Request) -> Reply:
    given = read(request.body, "ResponsesRequest", _RESPONSES)
    reply = native_chat.chat(service, native(request, _native_body(given)))
    identity, item = f"resp_{_label()}", f"msg_{_label()}"
    if given.get("stream", False):
        events = ResponseEvents(given, identity, item)
        return event_stream(reply, request, events.of, _STREAM_HEADERS)
    line = whole(reply)
    made = response_object(
        given,
        identity,
        created=seconds(line["created_at"]),
        completed=int(time.time()),
        status="completed",
        output=_output(line, identity, item),
        usage=usage(line),
    )
    return json_reply(made)


def _native_body(given: Line) -> Line:
    options: Line = {"temperature": given.get("temperature", 1.0)}
    names = {"top_p": "top_p", "max_output_tokens": "num_predict"}
    options |= {name: given[field] for field, name in names.items() if field in given}
    body: Line = {
        "model": given.get("model", ""),
        "messages": native_messages(given.get("instructions", ""), given.get("input")),
        "stream": given.get("stream", False),
        "options": options,
        **think(str(given.get("reasoning", {}).get("effort") or "")),
    }
    tools = native_tools(given.get("tools", []))
    wanted: Any = given.get("text", {}).get("format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        body["format"] = wanted.get("schema")
    return {**body, "tools": tools} if tools else body


def _output(line: Line, identity: str, item: str) -> list[Line]:
    message = line["message"]
    thinking = message.get("thinking")
    calls = dialect_calls(message.get("tool_calls", []))
    output: list[Line] = []
    if thinking:
        summary = [{"type": "summary_text", "text": thinking}]
        output.append({"id": f"rs_{identity}", "type": "reasoning", "summary": summary, "encrypted_content": thinking})
    if not calls:
        return [*output, message_item(item, message["content"])]
    return output + [
        {
            "id": f"fc_{identity}_{number}",
            "type": "function_call",
            "status": "completed",
            "call_id": call["id"],
            **call["function"],
        }
        for number, call in enumerate(calls)
    ]


def _label() -> int:
    return random.randrange(999999)  # noqa: S311  a label, as the real server makes it
