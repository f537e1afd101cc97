"""Server-sent events: a generator of named values comes in, a streamed reply goes out.

`running` makes such a generator of work that reports by callback: it runs in a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import Any

from pipeline.server.exchange import Cancellation, Reply, RequestCanceled, Stream
from pipeline.server.v1.dialect import event
from pipeline.shapes import error_json
from pipeline.web.failures import failed

Event = tuple[str, Any]
Tell = Callable[[str, Any], None]

HEADERS = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}


def event_reply(
    events: Iterable[Event], cancellation: Cancellation, *, last: bytes = b"", finish: Callable[[], None] | None = None
) -> Reply:
    """An event without a name has only data. An error becomes a last event `error`."""

    def pieces() -> Generator[bytes]:
        try:
            for name, value in events:
                yield event(value, name)
        except RequestCanceled:
            return
        except Exception as error:  # noqa: BLE001  the status is sent: an event is all that is left
            yield event(error_json(failed(error)[1]), "error")
        yield last

    body = Stream(pieces(), cancellation=cancellation, finish=finish or cancellation.set)
    return Reply(status=200, headers=HEADERS, body=body)


def running(work: Callable[[Tell], None], cancellation: Cancellation) -> Iterator[Event]:
    """What `work` tells, as it tells it. Its errors are raised here; once cancelled, telling raises RequestCanceled."""
    told: SimpleQueue[Event | BaseException | None] = SimpleQueue()

    def tell(name: str, value: Any) -> None:
        cancellation.check()
        told.put((name, value))

    def run() -> None:
        try:
            work(tell)
        except BaseException as error:  # noqa: BLE001  it is raised again, where the reply is made
            told.put(error)
        else:
            told.put(None)

    threading.Thread(target=run, name="events", daemon=True).start()
    while (item := told.get()) is not None:
        if isinstance(item, BaseException):
            cancellation.check()
            raise item
        yield item
