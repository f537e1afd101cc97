"""Chat messages of the dialect come in, native ones go out: text, parts, images, tool calls and their results."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from pipeline.server import decode
from pipeline.server.exchange import Refusal
from pipeline.server.v1.dialect import Line, go_type, mismatch

_IMAGE_STARTS = ("data:;base64,", *(f"data:image/{kind};base64," for kind in ("jpeg", "jpg", "png", "webp")))
_FORMAT = "invalid message format"
_MESSAGE: dict[str, decode.Check] = {
    "role": decode.string,
    "content": decode.anything,
    "reasoning": decode.string,
    "tool_calls": decode.tools,
    "name": decode.string,
    "tool_call_id": decode.string,
}


def messages(value: Any, where: str) -> list[Line]:
    """A check for `decode`: messages with the fields that are known."""
    if not isinstance(value, list):
        mismatch(value, where, "[]openai.Message")
    items: list[Any] = value
    return [_checked(item, where) for item in items]


def native_messages(given: list[Line]) -> list[Line]:
    """One native message each, and one for each part where the content is made of parts."""
    made: list[Line] = []
    for message in given:
        content = message.get("content")
        tool = _tool_fields(message, given)
        if isinstance(content, str):
            made.append(_message(message, content, **_spoken(message), **tool))
        elif isinstance(content, list):
            parts: list[Any] = content
            made += [_part(message, part) for part in parts]
            if made and message.get("tool_calls"):
                made[-1].update(_spoken(message), **tool)
        elif "tool_calls" in message:
            made.append(_message(message, "", **_spoken(message), **tool))
        else:
            raise Refusal(400, f"invalid message content type: {go_type(content)}")
    return made


def native_image(url: str) -> str:
    """The base64 data of an image's data URL."""
    if url.startswith(("http://", "https://")):
        raise Refusal(400, "image URLs are not currently supported, please use base64 encoded data instead")
    start = next((start for start in _IMAGE_STARTS if url.startswith(start)), None)
    if start is None:
        raise Refusal(400, "invalid image input")
    return _base64(url.removeprefix(start), "invalid image input")


def native_call(identity: str, name: str, arguments: Any) -> Line:
    return {"id": identity, "function": {"name": name, "arguments": arguments}}


def dialect_calls(calls: list[Line]) -> list[Line]:
    """Native tool calls as the dialect writes them: the arguments are a text."""
    return [
        {
            "id": call.get("id", ""),
            "index": call["function"].get("index", 0),
            "type": "function",
            "function": {"name": call["function"]["name"], "arguments": _compact(call["function"]["arguments"])},
        }
        for call in calls
    ]


def _checked(item: Any, where: str) -> Line:
    if not isinstance(item, dict):
        mismatch(item, where, "openai.Message")
    given: Line = item
    return {
        name: check(given[name], f"Message.messages.{name}")
        for name, check in _MESSAGE.items()
        if given.get(name) is not None
    }


def _message(message: Line, content: str, **fields: Any) -> Line:
    return {"role": message.get("role", ""), "content": content, **fields}


def _spoken(message: Line) -> Line:
    """What an assistant's message has besides its text."""
    calls = [_call(call) for call in message.get("tool_calls", [])]
    fields = {"thinking": message.get("reasoning"), "tool_calls": calls}
    return {name: value for name, value in fields.items() if value}


def _tool_fields(message: Line, given: list[Line]) -> Line:
    """Which tool a message is the result of: by its name, or by the call it answers, the last if there are two."""
    identity = message.get("tool_call_id", "")
    name = ""
    if message.get("role", "").lower() == "tool":
        calls = [call for other in given for call in other.get("tool_calls", []) if call.get("id") == identity]
        known = _function(calls[-1]).get("name", "") if calls and identity else ""
        name = message.get("name") or known
    fields = {"tool_name": name, "tool_call_id": identity}
    return {field: value for field, value in fields.items() if value}


def _call(call: Line) -> Line:
    function = _function(call)
    try:
        arguments = json.loads(function.get("arguments", ""))
    except (TypeError, ValueError) as error:
        raise Refusal(400, "invalid tool call arguments") from error
    if not isinstance(arguments, dict | None):
        raise Refusal(400, "invalid tool call arguments")
    return native_call(str(call.get("id") or ""), str(function.get("name") or ""), arguments or {})


def _function(call: Line) -> Line:
    function = call.get("function")
    return function if isinstance(function, dict) else {}


def _part(message: Line, part: Any) -> Line:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return _message(message, part["text"])
    if kind == "image_url":
        url = part.get("image_url")
        url = url.get("url") if isinstance(url, dict) else url
        if isinstance(url, str):
            return _message(message, "", images=[native_image(url)])
    if kind == "input_audio":
        return _message(message, "", images=[_audio(part.get("input_audio"))])
    raise Refusal(400, _FORMAT)


def _audio(value: Any) -> str:
    if not isinstance(value, dict):
        raise Refusal(400, "invalid input_audio format")
    given: Line = value
    if not isinstance(given.get("data"), str):
        raise Refusal(400, "invalid input_audio format: missing data")
    return _base64(given["data"], "invalid input_audio base64 data")


def _base64(data: str, refusal: str) -> str:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, refusal) from error
    return data


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
