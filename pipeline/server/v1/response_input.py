"""What /v1/responses is given comes in, native messages and tools go out."""

from __future__ import annotations

import json
from typing import Any

from pipeline.server.exchange import Refusal
from pipeline.server.v1.chat_messages import native_call, native_image
from pipeline.server.v1.dialect import Line, json_type

_ITEM = r'struct { Type string "json:\"type\""; Role string "json:\"role\"" }'
_TEXTS = ("input_text", "output_text")
_NO_ARRAY = "json: cannot unmarshal {} into Go value of type []json.RawMessage"
_CONTENTS = (*_TEXTS, "input_image", "input_file")


def native_messages(instructions: str, given: Any) -> list[Line]:
    """The conversation: instructions first, then the text, or the items with what belongs together put together."""
    made: list[Line] = [{"role": "system", "content": instructions}] if instructions else []
    if isinstance(given, str):
        return [*made, {"role": "user", "content": given}] if given else made
    if given is None:
        return made
    if not isinstance(given, list):
        raise Refusal(400, f"input must be a string or array: {_NO_ARRAY.format(json_type(given))}")
    values: list[Any] = given
    items = [_item(value, number) for number, value in enumerate(values)]
    return _Conversation(made).of(items)


def native_tools(tools: list[Line]) -> list[Line]:
    """Flat functions; those of a namespace get its name in front."""
    made: list[Line] = []
    for tool in tools:
        if tool.get("type") == "web_search":
            raise Refusal(400, "the embedded server does not support the web_search tool")
        name = str(tool.get("name") or "")
        if tool.get("type") != "namespace":
            function = {"name": name, "description": tool.get("description") or "", "parameters": _parameters(tool)}
            made.append({"type": tool.get("type", ""), "function": function})
            continue
        for member in native_tools(tool.get("tools") or []):
            inner = member["function"]
            prefix = f"{name}." if name and not inner["name"].startswith(f"{name}.") else ""
            made.append({**member, "function": {**inner, "name": prefix + inner["name"]}})
    return made


class _Conversation:
    """Messages that grow item by item."""

    def __init__(self, messages: list[Line]) -> None:
        self._messages = messages
        self._thinking = ""

    def of(self, items: list[Line]) -> list[Line]:
        for number, item in enumerate(items):
            following = items[number + 1] if number + 1 < len(items) else {}
            match item["type"]:
                case "reasoning":
                    self._thinking = str(item.get("encrypted_content") or "")
                case "message":
                    self._say(item, following)
                case "function_call":
                    self._call(item)
                case "function_call_output":
                    content, images = _content(item.get("output"), f"input[{number}]: output")
                    self._messages.append(
                        {"role": "tool", "content": content, "tool_call_id": str(item.get("call_id") or ""), **images}
                    )
                case _:  # a search that has been made: the message after it holds what came of it
                    pass
        if self._thinking:
            self._messages.append({"role": "assistant", "content": "", "thinking": self._thinking})
        return self._messages

    def _say(self, item: Line, following: Line) -> None:
        content, images = _content(item.get("content"), "content")
        message: Line = {"role": str(item.get("role") or ""), "content": content, **images}
        if message["role"] == "assistant":
            message |= self._thought()
            last = self._last_assistant()
            # A tool's result must directly follow the message that called it.
            answered = following.get("call_id") if following.get("type") == "function_call_output" else None
            if last is not None and any(call["id"] == answered for call in last.get("tool_calls", [])):
                joint = "\n" if last["content"] and content else ""
                last.update({**message, "content": last["content"] + joint + content})
                return
        self._messages.append(message)

    def _call(self, item: Line) -> None:
        try:
            arguments = json.loads(item.get("arguments") or "{}")
        except (TypeError, ValueError) as error:
            raise Refusal(400, f"failed to parse function call arguments: {error}") from error
        call = native_call(str(item.get("call_id") or ""), str(item.get("name") or ""), arguments)
        last = self._last_assistant()
        if last is None:
            blank: Line = {"role": "assistant", "content": ""}
            last = blank
            self._messages.append(last)
        last.update(self._thought(), tool_calls=[*last.get("tool_calls", []), call])

    def _last_assistant(self) -> Line | None:
        return self._messages[-1] if self._messages and self._messages[-1]["role"] == "assistant" else None

    def _thought(self) -> Line:
        thinking, self._thinking = self._thinking, ""
        return {"thinking": thinking} if thinking else {}


def _item(value: Any, number: int) -> Line:
    where = f"input[{number}]"
    if not isinstance(value, dict):
        raise Refusal(400, f"{where}: json: cannot unmarshal {json_type(value)} into Go value of type {_ITEM}")
    item: Line = value
    kind = item.get("type") or ("message" if item.get("role") else "")
    if not kind:
        raise Refusal(400, f"{where}: input item missing required 'type' field")
    if kind not in ("message", "function_call", "function_call_output", "reasoning", "web_search_call"):
        raise Refusal(400, f"{where}: unknown input item type: {json.dumps(kind)}")
    if kind == "message":
        _content(item.get("content"), f"{where}: content")
    return {**item, "type": kind}


def _content(given: Any, where: str) -> tuple[str, Line]:
    """The text of a content, and its images if it has any."""
    if given is None or isinstance(given, str):
        return given or "", {}
    if not isinstance(given, list):
        raise Refusal(400, f"{where} must be a string or array: {_NO_ARRAY.format(json_type(given))}")
    parts: list[Any] = given
    texts: list[str] = []
    images: list[str] = []
    for number, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in _CONTENTS:
            raise Refusal(400, f"{where}[{number}]: unknown content type: {kind or ''}")
        if kind == "input_file":
            raise Refusal(400, "file inputs are not currently supported")
        if kind in _TEXTS:
            texts.append(str(part.get("text") or ""))
        elif part.get("image_url"):
            images.append(native_image(str(part["image_url"])))
    return "".join(texts), ({"images": images} if images else {})


def _parameters(tool: Line) -> Line:
    return tool.get("parameters") or {"type": "object", "properties": {}}
