"""POST /api/pull: a model's name comes in, the progress of fetching its weights goes out."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.errors import PipelineError
from pipeline.server import decode, weights
from pipeline.server.exchange import (
    Cancellation,
    Refusal,
    Reply,
    Request,
    RequestCanceled,
    json_reply,
    ndjson_reply,
)
from pipeline.server.service import INVALID_NAME, Service, check_name

logger = logging.getLogger(__name__)

_PULL: dict[str, decode.Check] = {
    "model": decode.string,
    "name": decode.string,
    "stream": decode.boolean,
    "insecure": decode.boolean,
}
_LATEST_EVENTS = 64


def pull(service: Service, request: Request) -> Reply:
    given = decode.decode(request.body, "PullRequest", _PULL)
    name = (given.get("model") or given.get("name") or "").strip()
    if not name:
        raise Refusal(400, INVALID_NAME)
    check_name(name)
    progress = _progress(service, name, request.cancellation)
    if given.get("stream", True):
        return ndjson_reply(
            progress, cancellation=request.cancellation, describe=_text, finish=request.cancellation.set
        )
    try:
        *_, last = progress
    except RequestCanceled:
        raise
    except PipelineError as error:
        raise Refusal(500, _text(error)) from error
    return json_reply(last)


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


def _progress(service: Service, name: str, cancellation: Cancellation) -> Iterator[dict[str, Any]]:
    """The fetch runs in a thread of its own and reports here; it stops soon after the client has gone."""
    events: queue.Queue[weights.FetchProgress | _End] = queue.Queue()

    def work() -> None:
        error: Exception | None = None
        try:
            weights.fetch(name, service.store, on_progress=events.put, cancelled=cancellation.is_set)
        except Exception as failure:  # noqa: BLE001  it is raised again by the reader
            error = failure
        events.put(_End(error))

    yield {"status": "pulling manifest"}
    threading.Thread(target=work, name=f"pull-{name}", daemon=True).start()
    with cancellation.watch(lambda: events.put(_End(RequestCanceled()))):
        while not isinstance(event := events.get(), _End):
            yield _line(event)
    if event.error is not None:
        raise event.error
    yield {"status": "success"}


def _line(event: weights.FetchProgress) -> dict[str, Any]:
    if not event.digest:
        return {"status": event.status}
    digest = event.digest.removeprefix("sha256:")
    line = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}"}
    numbers = {"total": event.total, "completed": event.completed}
    return {**line, **{key: value for key, value in numbers.items() if value}}


def _text(error: Exception) -> str:
    if isinstance(error, PipelineError):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    logger.error("pull failed", exc_info=error)
    return f"pull failed: {error}"
