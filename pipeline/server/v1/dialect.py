"""What the endpoints below /v1 share: bodies are read, errors shaped, native replies turned into the dialect's.

A handler takes a native reply apart with `whole` or `event_stream`; errors of the native handler go out in the
dialect's form, also in mid-stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import Any, NoReturn

from pipeline.errors import UsageError
from pipeline.server import decode
from pipeline.server.exchange import Refusal, Reply, Request, Stream, encode
from pipeline.server.failures import failure
from pipeline.server.names import DEFAULT_NAMESPACE, parse_name
from pipeline.server.service import Service

Handler = Callable[[Service, Request], Reply]
Line = dict[str, Any]

FINGERPRINT = "fp_ollama"
DONE = b"data: [DONE]\n\n"
_JSON = "application/json"
_EVENTS = "text/event-stream"
_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def speaks(handler: Handler) -> Handler:
    """The handler with its failures in the dialect's form."""

    @wraps(handler)
    def speaking(service: Service, request: Request) -> Reply:
        try:
            return handler(service, request)
        except Exception as error:  # noqa: BLE001  the edge of the dialect: the client gets an answer it can read
            status, text = failure(error)
            return json_reply(error_object(status, text), status)

    return speaking


def error_object(status: int, text: str) -> Line:
    return {"error": {"message": text, "type": _TYPES.get(status, "api_error"), "param": None, "code": None}}


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status=status, headers={"content-type": _JSON}, body=encode(value))


def read(body: bytes, type_name: str, fields: Mapping[str, decode.Check]) -> dict[str, Any]:
    """As `decode.decode`, with the words that the real server has for this dialect's types."""
    try:
        return decode.decode(body, type_name, fields)
    except Refusal as refusal:
        text = "EOF" if refusal.text == decode.MISSING_BODY else refusal.text
        raise Refusal(refusal.status, text.replace("Go value of type api.", "Go value of type openai.")) from refusal


def number(value: Any, where: str, kind: str = "float64") -> float:
    decode.anything(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        mismatch(value, where, kind)
    return value


def short_number(value: Any, where: str) -> float:
    return number(value, where, "float32")


def object_of(kind: str) -> decode.Check:
    """A check for an object, which the real server calls `kind`."""

    def check(value: Any, where: str) -> Line:
        return decode.mapping(value, where) if isinstance(value, dict) else mismatch(value, where, f"openai.{kind}")

    return check


def tools(value: Any, where: str) -> list[Line]:
    return decode.tools(value, where) if isinstance(value, list) else mismatch(value, where, "[]api.Tool")


def mismatch(value: Any, where: str, wanted: str) -> NoReturn:
    raise Refusal(400, f"json: cannot unmarshal {json_type(value)} into Go struct field {where} of type {wanted}")


def json_type(value: Any) -> str:
    kinds = {bool: "bool", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "number")


def go_type(value: Any) -> str:
    """What the real server calls a decoded value's type in its errors."""
    kinds = {bool: "bool", str: "string", list: "[]interface {}", dict: "map[string]interface {}"}
    return "<nil>" if value is None else kinds.get(type(value), "float64")


def native(request: Request, body: Line) -> Request:
    """The request that the native handler gets; whoever cancels the one cancels the other."""
    return replace(request, method="POST", body=encode(body))


def whole(reply: Reply) -> Line:
    """The object in a native reply that is not streamed."""
    assert isinstance(reply.body, bytes)
    return json.loads(reply.body)


def event_stream(
    reply: Reply, request: Request, events: Callable[[Line], Iterable[bytes]], headers: Mapping[str, str] | None = None
) -> Reply:
    """A native stream of lines as server-sent events: `events` makes those of one line.

    An error line becomes a last event with the dialect's error object.
    """
    source = reply.body
    if not isinstance(source, Stream):  # nothing was to be generated: one line is all there is
        lines: Iterable[bytes] = [source]
        close = reply.close
    else:
        lines, close = source, source.close

    def pieces() -> Generator[bytes]:
        for line in lines:
            content = json.loads(line)
            if "error" in content:
                yield event(error_object(500, content["error"]))
                return
            piece = b"".join(events(content))
            if piece:
                yield piece

    body = Stream(pieces(), cancellation=request.cancellation, finish=close)
    return Reply(status=200, headers={"content-type": _EVENTS, **(headers or {})}, body=body)


def event(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + encode(value) + b"\n\n"


def seconds(moment: str) -> int:
    """A moment of a native reply in whole seconds of Unix time."""
    return int(datetime.fromisoformat(moment).timestamp())


def owner(name: str) -> str:
    """The namespace of a model's name; the default one's for a file's."""
    try:
        return parse_name(name).namespace
    except UsageError:
        return DEFAULT_NAMESPACE


def usage(line: Line) -> Line:
    prompt, completion = line.get("prompt_eval_count", 0), line.get("eval_count", 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def think(effort: str) -> Line:
    """The native field for a reasoning effort: the dialect's scale is longer than ours at both ends."""
    if not effort:
        return {}
    levels: dict[str, bool | str] = {"none": False, "minimal": "low", "xhigh": "max", "ultra": "max"}
    if effort in levels:
        return {"think": levels[effort]}
    if effort in ("low", "medium", "high", "max"):
        return {"think": effort}
    choice = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'
    raise Refusal(400, f"invalid reasoning value: {json.dumps(effort)} (must be {choice})")
