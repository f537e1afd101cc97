"""One HTTP exchange without a framework: a Request comes in, a Reply goes out.

Everything here is plain data plus two small pieces of machinery: `Cancellation`, which says that the
client has gone, and `Stream`, a reply body that can be closed from any thread at any time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json; charset=utf-8"
NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"
BODY_TOO_LARGE = "http: request body too large"


class Refusal(Exception):
    """A request that is answered with an error: `status` and the text of the error object."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RequestCanceled(Refusal):
    """The client went away while its request was waiting or being worked on."""

    def __init__(self) -> None:
        super().__init__(499, "request canceled")


class Cancellation:
    """A one-way switch: once set it stays set, and everyone who watches is told, in the thread that sets it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = False
        self._watchers: list[Callable[[], None]] = []

    def set(self) -> None:
        with self._lock:
            self._set = True
            watchers, self._watchers = self._watchers, []
        for tell in watchers:
            tell()

    def is_set(self) -> bool:
        return self._set

    def check(self) -> None:
        """Raise RequestCanceled when the client has gone."""
        if self._set:
            raise RequestCanceled

    @contextmanager
    def watch(self, tell: Callable[[], None]) -> Generator[None]:
        """Call `tell` if the switch is set inside the block; at once if it is set already."""
        with self._lock:
            already = self._set
            if not already:
                self._watchers.append(tell)
        if already:
            tell()
        try:
            yield
        finally:
            with self._lock:
                if tell in self._watchers:
                    self._watchers.remove(tell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the client sent. Header names are lower case; `path` is decoded and without the query.

    `incoming` is the body where it is not read yet, piece by piece; `body` is empty then. `client` is the address that
    the request came from, empty where there is none.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    query: str = ""
    cancellation: Cancellation = field(default_factory=Cancellation)
    incoming: Iterator[bytes] | None = None
    client: str = ""

    def pieces(self) -> Iterator[bytes]:
        """The body, of any size. Raises RequestCanceled if the client goes away before its end."""
        for piece in self.incoming if self.incoming is not None else (self.body,):
            self.cancellation.check()
            yield piece
        self.cancellation.check()


class Stream(Iterator[bytes]):
    """A reply body made by a generator; `close` works from any thread, also while another one is in `next`.

    Closing sets the cancellation, which wakes a generator that is blocked in the engine, and then lets the
    generator's own `finally` run: here if nobody is inside it, else in the thread that is. `finish` runs
    exactly once, also when the generator was never started.
    """

    def __init__(self, events: Generator[bytes], *, cancellation: Cancellation, finish: Callable[[], None]) -> None:
        self._events = events
        self._cancellation = cancellation
        self._finish = finish
        self._inside = threading.Lock()
        self._finished = False

    def __next__(self) -> bytes:
        try:
            with self._inside:
                if self._finished:
                    raise StopIteration
                try:
                    return next(self._events)
                except BaseException:
                    self._done()
                    raise
        finally:
            if self._cancellation.is_set():
                self.close()

    def close(self) -> None:
        if self._finished:
            return
        self._cancellation.set()
        if self._inside.acquire(blocking=False):
            try:
                self._events.close()
                self._done()
            finally:
                self._inside.release()

    def _done(self) -> None:
        if not self._finished:
            self._finished = True
            self._finish()

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back. A `Stream` body must be closed by whoever sends it, read to its end or not."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | Stream = b""

    def close(self) -> None:
        if isinstance(self.body, Stream):
            self.body.close()


def encode(value: Any) -> bytes:
    """Compact JSON. U+2028 and U+2029 are escaped, as they are by the real server, so that no client that
    splits on them by mistake cuts a line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode("utf-8", "replace")


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status=status, headers={"content-type": JSON}, body=encode(value))


def error_reply(status: int, text: str) -> Reply:
    return json_reply({"error": text}, status)


def text_reply(text: str, status: int = 200, content_type: str = TEXT) -> Reply:
    return Reply(status=status, headers={"content-type": content_type}, body=text.encode())


def ndjson_reply(
    lines: Iterable[dict[str, Any]],
    *,
    cancellation: Cancellation,
    describe: Callable[[Exception], str],
    finish: Callable[[], None],
) -> Reply:
    """A stream of JSON lines. An error after the first byte becomes a last line `{"error": ...}`."""

    def events() -> Generator[bytes]:
        try:
            for line in lines:
                yield encode(line) + b"\n"
        except RequestCanceled:
            return
        except Exception as error:  # noqa: BLE001  the status is already sent: the line is all that is left
            yield encode({"error": describe(error)}) + b"\n"

    body = Stream(events(), cancellation=cancellation, finish=finish)
    return Reply(status=200, headers={"content-type": NDJSON}, body=body)
