"""POST /api/chat: a conversation comes in; the model's next message goes out, as a stream of lines or whole."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from pipeline.server import decode, generation
from pipeline.server.durations import now_text
from pipeline.server.engine import EngineStream
from pipeline.server.exchange import Refusal, Reply, Request, json_reply
from pipeline.server.facts import THINKING
from pipeline.server.generation import Line, Work
from pipeline.server.prompts import engine_message, fit_messages
from pipeline.server.service import Service

_CHAT: dict[str, decode.Check] = {
    "model": decode.string,
    "messages": decode.messages,
    "stream": decode.boolean,
    "format": decode.anything,
    "keep_alive": decode.keep_alive,
    "tools": decode.tools,
    "options": decode.mapping,
    "think": decode.think,
    "truncate": decode.boolean,
    "logprobs": decode.boolean,
    "top_logprobs": decode.integer,
}


def chat(service: Service, request: Request) -> Reply:
    started = time.perf_counter()
    given = decode.decode(request.body, "ChatRequest", _CHAT)
    if not 0 <= given.get("top_logprobs", 0) <= 20:
        raise Refusal(400, "top_logprobs must be between 0 and 20")
    name = given.get("model", "").strip()
    if not name:
        raise Refusal(400, "model is required")
    chosen = service.choose(name, unknown="model '{}' not found")
    messages: list[Line] = given.get("messages", [])
    if not messages and given.get("keep_alive") == 0:
        service.pool.unload(chosen.model)
        return _empty(name, "unload")
    generation.check_request(given, chosen, what="chat")
    _check_messages(messages)
    answer_format = generation.schema(given.get("format"))
    work = generation.begin(service, request, chosen, given, started)
    try:
        if not messages:
            work.lease.release()
            return _empty(name, "load")
        body = _engine_request(work, messages, given, answer_format)
        return generation.reply(
            work,
            "/v1/chat/completions",
            body,
            lines=lambda stream: _lines(work, stream, top=given.get("top_logprobs", 0)),
            merge=None if given.get("stream", True) else _merge,
        )
    except BaseException:
        work.lease.release()
        raise


def _empty(name: str, reason: str) -> Reply:
    message = {"role": "assistant", "content": ""}
    line = {"model": name, "created_at": now_text(), "message": message, "done": True, "done_reason": reason}
    return json_reply(line)


def _check_messages(messages: list[Line]) -> None:
    for number, message in enumerate(messages):
        if not message["role"]:
            raise Refusal(400, f"message {number} has no role")
        if message.get("images"):
            raise Refusal(400, "this model does not support images")


def _engine_request(
    work: Work, messages: list[Line], given: dict[str, Any], answer_format: dict[str, Any] | None
) -> dict[str, Any]:
    model = work.chosen.model
    lead = [{"role": "system", "content": model.system}] if model.system and messages[0]["role"] != "system" else []
    messages = [*lead, *(dict(message) for message in model.messages), *messages]
    body: dict[str, Any] = {"messages": [engine_message(message) for message in messages]}
    if given.get("tools"):
        body["tools"] = given["tools"]
    thinking = given.get("think", True) if THINKING in work.chosen.facts.capabilities else None
    if thinking is not None:
        effort = {"reasoning_effort": thinking} if isinstance(thinking, str) else {}
        body["chat_template_kwargs"] = {"enable_thinking": bool(thinking), **effort}
    body["messages"], count = fit_messages(
        work.lease.engine, body, context=work.context - 1, truncate=given.get("truncate", True)
    )
    body.update(generation.engine_body(work, predict=generation.room(work, count)))
    if answer_format is not None:
        schema = {"name": "schema", "schema": answer_format}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if given.get("logprobs"):
        body.update(logprobs=True, top_logprobs=max(given.get("top_logprobs", 0), 1))
    return body


def _lines(work: Work, stream: EngineStream, *, top: int) -> Iterable[Line]:
    calls: dict[int, dict[str, Any]] = {}
    for event in stream:
        if not event.get("choices"):
            continue
        choice = event["choices"][0]
        delta = choice["delta"]
        _collect_calls(calls, delta.get("tool_calls") or [])
        message: Line = {"role": "assistant", "content": delta.get("content") or ""}
        if delta.get("reasoning_content"):
            message["thinking"] = delta["reasoning_content"]
        entries = (choice.get("logprobs") or {}).get("content") or []
        extra = {"logprobs": generation.log_probabilities(entries, top=top)} if entries else {}
        reason = choice.get("finish_reason")
        if reason is None:
            if message["content"] or message.get("thinking") or extra:
                yield {**_head(work), "message": message, "done": False, **extra}
            continue
        if calls:
            message["tool_calls"] = [_finished_call(calls[index]) for index in sorted(calls)]
        numbers = {**work.durations(), **generation.metrics(event.get("timings", {}))}
        yield {
            **_head(work),
            "message": message,
            "done": True,
            "done_reason": "length" if reason == "length" else "stop",
            **extra,
            **generation.without_zeros(numbers),
        }


def _head(work: Work) -> Line:
    return {"model": work.chosen.name, "created_at": now_text()}


def _collect_calls(calls: dict[int, dict[str, Any]], pieces: list[dict[str, Any]]) -> None:
    """A tool call arrives in pieces: its name first, then its arguments bit by bit."""
    for piece in pieces:
        index = piece.get("index", 0)
        call = calls.setdefault(index, {"id": "", "index": index, "name": "", "arguments": ""})
        function = piece.get("function") or {}
        call["id"] += piece.get("id") or ""
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def _finished_call(call: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = json.loads(call["arguments"] or "{}")
    except ValueError as error:
        text = f'llama-server returned invalid tool call arguments for "{call["name"]}": {error}'
        raise Refusal(500, text) from error
    function = {"index": call["index"], "name": call["name"], "arguments": arguments}
    return {"id": call["id"], "function": function} if call["id"] else {"function": function}


def _merge(lines: list[Line]) -> Line:
    if not lines:
        raise Refusal(500, "the engine ended without an answer")
    last = lines[-1]
    message = {**last["message"], "content": "".join(line["message"]["content"] for line in lines)}
    thinking = "".join(line["message"].get("thinking", "") for line in lines)
    if thinking:
        message["thinking"] = thinking
    entries = [entry for line in lines for entry in line.get("logprobs", [])]
    return {**last, "message": message, **({"logprobs": entries} if entries else {})}
