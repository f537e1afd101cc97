"""The events of one streamed response: native lines come in, numbered server-sent events go out."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

from pipeline.server.v1.chat_messages import dialect_calls
from pipeline.server.v1.dialect import Line, event
from pipeline.server.v1.response_object import message_item, response_object, text_part, usage


class ResponseEvents:
    """Reasoning, tool calls and the message are items of the output, each opened, filled and closed in turn."""

    def __init__(self, given: Line, identity: str, item: str) -> None:
        self._given = given
        self._identity = identity
        self._item = item
        self._number = 0
        self._index = 0
        self._text: str | None = None
        self._thinking: str | None = None
        self._thinking_item = ""
        self._called = False
        self._finished: list[Line] = []

    def of(self, line: Line) -> Iterator[bytes]:
        """The events of a native line."""
        message = line["message"]
        if self._number == 0:
            for name in ("response.created", "response.in_progress"):
                yield self._event(name, response=self._response("in_progress", [], None))
        if message.get("thinking"):
            yield from self._think(message["thinking"])
        calls = dialect_calls(message.get("tool_calls", []))
        if calls:
            yield from self._end_thinking()
            yield from self._call(calls)
            self._called = True
        if not self._called and message["content"]:
            yield from self._write(message["content"])
        if line["done"]:
            yield from self._end_thinking()
            yield from self._end(line)

    def _think(self, thinking: str) -> Iterator[bytes]:
        if self._thinking is None:
            self._thinking = ""
            self._thinking_item = f"rs_{_label()}"
            item = {"id": self._thinking_item, "type": "reasoning", "summary": []}
            yield self._event("response.output_item.added", output_index=self._index, item=item)
        self._thinking += thinking
        yield self._event("response.reasoning_summary_text.delta", **self._summary(), delta=thinking)

    def _end_thinking(self) -> Iterator[bytes]:
        if self._thinking is None:
            return
        thinking = self._thinking
        item = {
            "id": self._thinking_item,
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": thinking}],
            "encrypted_content": thinking,
        }
        yield self._event("response.reasoning_summary_text.done", **self._summary(), text=thinking)
        yield self._event("response.output_item.done", output_index=self._index, item=item)
        self._finished.append(item)
        self._thinking = None
        self._index += 1

    def _call(self, calls: list[Line]) -> Iterator[bytes]:
        for number, call in enumerate(calls):
            arguments = call["function"]["arguments"]
            identity = f"fc_{_label()}_{number}"
            item = {
                "id": identity,
                "type": "function_call",
                "status": "completed",
                "call_id": call["id"],
                "name": call["function"]["name"],
                "arguments": arguments,
            }
            begun = {**item, "status": "in_progress", "arguments": ""}
            place = {"item_id": identity, "output_index": self._index}
            yield self._event("response.output_item.added", output_index=self._index, item=begun)
            yield self._event("response.function_call_arguments.delta", **place, delta=arguments)
            yield self._event("response.function_call_arguments.done", **place, arguments=arguments)
            yield self._event("response.output_item.done", output_index=self._index, item=item)
            self._finished.append(item)
            self._index += 1

    def _write(self, content: str) -> Iterator[bytes]:
        yield from self._end_thinking()
        if self._text is None:
            self._text = ""
            begun = {**message_item(self._item, ""), "status": "in_progress", "content": []}
            yield self._event("response.output_item.added", output_index=self._index, item=begun)
            yield self._event("response.content_part.added", **self._place(), part=text_part(""))
        self._text += content
        yield self._event("response.output_text.delta", **self._place(), delta=content, logprobs=[])

    def _end(self, line: Line) -> Iterator[bytes]:
        output = list(self._finished)
        if self._text is not None:
            item = message_item(self._item, self._text)
            output.append(item)
            if not self._called:
                yield self._event("response.output_text.done", **self._place(), text=self._text, logprobs=[])
                yield self._event("response.content_part.done", **self._place(), part=text_part(self._text))
                yield self._event("response.output_item.done", output_index=self._index, item=item)
        yield self._event("response.completed", response=self._response("completed", output, usage(line)))

    def _response(self, status: str, output: list[Line], used: Line | None) -> Line:
        now = int(time.time())
        completed = now if status == "completed" else None
        return response_object(
            self._given, self._identity, created=now, completed=completed, status=status, output=output, usage=used
        )

    def _place(self) -> Line:
        return {"item_id": self._item, "output_index": self._index, "content_index": 0}

    def _summary(self) -> Line:
        return {"item_id": self._thinking_item, "output_index": self._index, "summary_index": 0}

    def _event(self, name: str, **fields: Any) -> bytes:
        numbered = {**fields, "sequence_number": self._number, "type": name}
        self._number += 1
        return event(numbered, name)


def _label() -> int:
    return random.randrange(999999)  # noqa: S311  a label, as the real server makes it
