"""Bytes on the wire: NDJSON lines, and what went wrong as our own errors. No I/O.

In: pieces of a reply, statuses, httpx exceptions. Out: decoded objects, errors of `pipeline.errors`.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipeline.errors import (
    ApiError,
    BadReply,
    BadRequest,
    InputTooLong,
    ModelNotFound,
    NotSupported,
    ServerBusy,
    ServerError,
    ServerTimeout,
    ServerUnreachable,
    StatusError,
    StreamInterrupted,
    UsageError,
)

SHOWN_TEXT = 300
NOT_IN_REGISTRY = "pull model manifest: file does not exist"
TOO_LONG = (
    "input length exceeds",
    "exceeds the context length",
    "context length exceeded",
    "exceeds maximum context",
    "exceeds the available context",
    "longer than the context",
)


class LineSplitter:
    """Splits a byte stream into lines at `\\n` only: text may hold U+0085 and U+2028, which are no line ends here."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self._rest += piece
        *lines, rest = self._rest.split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            if line.strip():
                yield bytes(line)

    def finish(self) -> Iterator[bytes]:
        """The last line, where the stream ended without a line end."""
        if self._rest.strip():
            yield bytes(self._rest)


class EventSplitter:
    """Splits server-sent events: gives the data of each, its lines joined, by the rules of the HTML standard.

    Comments, names and identifiers of events are left out: the data says what it is.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            yield from self._read(line.removesuffix(b"\r"))

    def finish(self) -> Iterator[bytes]:
        """The last event, where the stream ended without an empty line."""
        yield from self._read(self._rest.removesuffix(b"\r"))
        yield from self._read(b"")

    def _read(self, line: bytes) -> Iterator[bytes]:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            yield data


@contextmanager
def naming_request(request: str) -> Generator[None]:
    """Errors in what came say which request it came for."""
    try:
        yield
    except ApiError as error:
        error.request = error.request or request
        raise


def decode_json(content: bytes) -> Any:
    """Raises BadReply with the start of what came."""
    try:
        return json.loads(content)
    except ValueError as error:
        start = content[:80].decode("utf-8", "replace")
        raise BadReply(
            f"the server's reply is not JSON: it starts with {start!r}",
            hint="check that OLLAMA_HOST is the address of an Ollama server",
        ) from error


def decode_line(line: bytes) -> Any:
    """A line of a stream. Raises the mapped error if it is an error object."""
    content = decode_json(line)
    if isinstance(content, dict) and "error" in content:
        raise error_from_status(int(content.get("status_code") or 200), {}, line, "the stream")
    return content


def error_from_status(status: int, headers: Mapping[str, str], body: bytes, request: str) -> StatusError:
    """The error that a status and its body stand for."""
    text = server_text(body) or f"HTTP status {status}"
    lowered = text.lower()
    hint = ""
    kind: type[StatusError] = BadRequest
    if any(phrase in lowered for phrase in TOO_LONG):
        kind, hint = InputTooLong, "shorten the text, or raise num_ctx where the model allows it"
    elif NOT_IN_REGISTRY in lowered or ("model" in lowered and "not found" in lowered and status in (200, 404)):
        kind, hint = ModelNotFound, f"pipeline models pull {_quoted_name(text) or 'NAME'}"
    elif "does not support" in lowered and status in (400, 501):
        kind, hint = NotSupported, "name a model that can: pipeline models list"
    elif status in (429, 503):
        kind, hint = ServerBusy, "try again later, or lower --concurrency"
    elif status >= 500 or status == 200:
        kind, hint = ServerError, "look at the server's log"
    elif status in (401, 403):
        hint = "check OLLAMA_API_KEY"
    how = "ended with an error" if status == 200 else f"was answered with {status}"
    return kind(
        f"{request} {how}: {text}",
        status=status,
        server_text=text,
        request=request,
        hint=hint,
        retry_after=_retry_after(headers),
    )


def server_text(body: bytes) -> str:
    """The server's own words: the text of an error object of either dialect, else the body's start."""
    try:
        content = json.loads(body)
    except ValueError:
        return " ".join(body[: 4 * SHOWN_TEXT].decode("utf-8", "replace").split())[:SHOWN_TEXT]
    error = content.get("error") if isinstance(content, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    if not error:
        return json.dumps(content)[:SHOWN_TEXT]
    text = str(error)
    # The real server hands on its runner's error as the text of its own: an object inside a string.
    return server_text(text.encode()) if text.startswith('{"error"') else text


def error_from_httpx(error: Exception, request: str, *, partial: str | None = None) -> ApiError | UsageError:
    """Every httpx exception as ours. `partial` is what had arrived of a stream, None before its start."""
    import httpx  # noqa: PLC0415 - heavy

    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return UsageError(f"{request}: {error}", hint="correct OLLAMA_HOST or --host")
    if isinstance(error, httpx.TimeoutException):
        return ServerTimeout(
            f"{request}: no answer in time ({type(error).__name__})",
            request=request,
            hint="a model may be loading: try again, or raise --timeout",
        )
    if partial is not None:
        return StreamInterrupted(
            f"{request}: the stream broke off: {error or type(error).__name__}",
            partial=partial,
            request=request,
            hint="look at the server's log, then try again",
        )
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ProxyError):
        return ServerUnreachable(
            f"{request}: {error or type(error).__name__}",
            request=request,
            hint="start the server, or check OLLAMA_HOST and --host",
        )
    return BadReply(f"{request}: {error or type(error).__name__}", request=request, hint="look at the server's log")


def _quoted_name(text: str) -> str:
    for quote in "'\"":
        parts = text.split(quote)
        if len(parts) >= 3:
            return parts[1]
    return ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None
