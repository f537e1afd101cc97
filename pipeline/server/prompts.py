"""Messages that fit the context: a conversation comes in, what the model will be shown goes out."""

from __future__ import annotations

import json
from typing import Any

from pipeline.server.engine import Engine

Message = dict[str, Any]

TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length"
)


def engine_message(message: Message) -> Message:
    """A message of the wire in the form that the engine's templates expect."""
    converted: Message = {"role": message["role"], "content": message["content"]}
    if message.get("tool_call_id"):
        converted["tool_call_id"] = message["tool_call_id"]
    if message.get("tool_name"):
        converted["name"] = message["tool_name"]
    if message.get("tool_calls"):
        converted["tool_calls"] = [_engine_call(call) for call in message["tool_calls"]]
    return converted


def _engine_call(call: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = call.get("function") or {}
    arguments = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
    converted = {"type": "function", "function": {"name": function.get("name", ""), "arguments": arguments}}
    return {"id": call["id"], **converted} if call.get("id") else converted


def fit_messages(engine: Engine, body: dict[str, Any], *, context: int, truncate: bool) -> tuple[list[Message], int]:
    """The messages of `body` that fit, and how many tokens of prompt they make.

    The oldest are dropped first; system messages and the last message always stay, so the count can still
    be above `context`.
    """
    messages: list[Message] = body["messages"]
    kept, count = messages, _prompt_tokens(engine, body, messages)
    first = 0
    while truncate and count > context and first < len(messages) - 1:
        first += 1
        system = [message for message in messages[:first] if message["role"] == "system"]
        kept = system + messages[first:]
        count = _prompt_tokens(engine, body, kept)
    return kept, count


def cut_prompt(tokens: list[int], *, context: int, keep: int) -> list[int]:
    """A prompt cut in its middle: the first `keep` tokens and the newest ones, with half the rest left free."""
    keep = len(tokens) if keep < 0 else keep
    keep = min(keep, context - 1)
    limit = context - max((context - keep) // 2, 1)
    return tokens[:keep] + tokens[len(tokens) - (limit - keep) :]


def _prompt_tokens(engine: Engine, body: dict[str, Any], messages: list[Message]) -> int:
    prompt = engine.apply_template({**body, "messages": messages})
    return len(engine.tokenize(prompt, with_special=True))
