"""The OpenAI dialect: a collection's name is a model's name, the last message is the question.

So any program that speaks to OpenAI can chat with the documents; the text of an answer ends with its sources.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import count, pairwise
from typing import Any

from pipeline.errors import UsageError
from pipeline.server.exchange import Reply, json_reply
from pipeline.server.v1.dialect import DONE
from pipeline.shapes import answer_json
from pipeline.store import collection_names, require_collection
from pipeline.types import Answer
from pipeline.web.answering import answer_events, answered
from pipeline.web.events import Tell
from pipeline.web.operation import EVENTS, JSON, Call, Operation
from pipeline.web.schema import Schema, array, boolean, integer, nullable, record, reference, string
from pipeline.web.service import Service

_numbers = count(1)
SOURCES = "\n\nSources:\n"
"""Begins the places of what an answer cites, behind its text."""

CONTENT: Schema = {
    "type": ["string", "array", "null"],
    "items": {"type": "object", "additionalProperties": True},
    "description": "A text, or parts of which those of type text count.",
}
SHOWN: dict[str, Schema] = {
    "Completion": record(
        {
            "id": string(),
            "object": string(enum=["chat.completion"]),
            "created": integer(),
            "model": string(),
            "choices": array(
                record(
                    {
                        "index": integer(),
                        "message": record({"role": string(), "content": string()}),
                        "finish_reason": string(),
                    }
                )
            ),
            "usage": record({"prompt_tokens": integer(), "completion_tokens": integer(), "total_tokens": integer()}),
            "pipeline": reference("Answer"),
        }
    ),
    "ModelList": record(
        {
            "object": string(enum=["list"]),
            "data": array(record({"id": string(), "object": string(), "created": integer(), "owned_by": string()})),
        }
    ),
}


def models(service: Service, _: Call) -> Reply:
    home = service.library.config.home
    created = {name: require_collection(home, name).manifest.created for name in collection_names(home)}
    rows = [
        {
            "id": name,
            "object": "model",
            "created": int(datetime.fromisoformat(moment).timestamp()) if moment else 0,
            "owned_by": "pipeline",
        }
        for name, moment in created.items()
    ]
    return json_reply({"object": "list", "data": rows})


def chat_completions(service: Service, call: Call) -> Reply:
    name, question = call["model"], _question(call["messages"])
    history = _history(call["messages"][:-1])
    # A collection that is not there is an error with a status, before a stream begins.
    name = service.library.collection(name).name
    head = {"id": f"chatcmpl-{next(_numbers)}", "created": int(time.time()), "model": name}
    if not call["stream"]:
        with service.answering():
            answer = answered(service, call, name, question, history=history)
        return json_reply(_completion(head, answer))
    with_usage = bool((call.get("stream_options") or {}).get("include_usage"))

    def work(tell: Tell) -> None:
        def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            tell("", {**head, "object": "chat.completion.chunk", "choices": [choice], **more})

        chunk({"role": "assistant", "content": ""})
        pieces: list[str] = []

        def show(piece: str) -> None:
            pieces.append(piece)
            chunk({"content": piece})

        answer = answered(service, call, name, question, history=history, on_text=show)
        if not pieces:
            chunk({"content": answer.text})
        chunk({"content": _sources(answer)})
        chunk({}, "stop", pipeline=answer_json(answer, 0.0))
        if with_usage:
            tell("", {**head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(answer)})

    return answer_events(service, call, work, last=DONE)


def _question(messages: Sequence[dict[str, Any]]) -> str:
    """The text of the last message, which must be the user's."""
    text = _text(messages[-1])
    if messages[-1]["role"] != "user" or not text:
        raise UsageError("the last message is no question of the user's", hint="send it with the role user")
    return text


def _history(messages: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Questions of the user's that an answer follows; that without the places of its sources."""
    return [
        (_text(asked), _text(answer).split(SOURCES, 1)[0])
        for asked, answer in pairwise(messages)
        if asked["role"] == "user" and answer["role"] == "assistant"
    ]


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return "\n".join(str(part.get("text") or "") for part in parts if part.get("type") == "text").strip()


def _completion(head: dict[str, Any], answer: Answer) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text + _sources(answer)}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _usage(answer),
        "pipeline": answer_json(answer, 0.0),
    }


def _sources(answer: Answer) -> str:
    if not answer.citations:
        return ""
    lines = [f"[{each.number}] {each.path}:{each.start_line}" for each in answer.citations]
    return SOURCES + "\n".join(lines)


def _usage(answer: Answer) -> dict[str, int]:
    prompt, written = answer.usage.prompt_tokens, answer.usage.answer_tokens
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/models",
        name="v1_models",
        summary="The collections, as models of the OpenAI dialect.",
        tag="openai",
        handler=models,
        replies={200: {JSON: reference("ModelList")}},
    ),
    Operation(
        method="POST",
        path="/v1/chat/completions",
        name="v1_chat_completions",
        summary="Answers the last message, which may point to those before it, from the collection that `model` names; "
        "other fields are taken and not used.",
        tag="openai",
        handler=chat_completions,
        body={
            **record(
                {
                    "model": string("A collection's name.", minLength=1, maxLength=64),
                    "messages": array(
                        record({"role": string(maxLength=40), "content": CONTENT}, optional=("content",), closed=False),
                        minItems=1,
                        maxItems=1000,
                    ),
                    "stream": nullable(boolean(default=False)),
                    "stream_options": {"type": ["object", "null"], "additionalProperties": True},
                },
                optional=("stream", "stream_options"),
                closed=False,
            ),
        },
        replies={200: {JSON: reference("Completion"), EVENTS: string()}},
        errors=(404, 409, 502, 503),
    ),
)
