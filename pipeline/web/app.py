"""The search page and its API without a socket: a Request comes in, a Reply goes out.

`WebApp` knows the operations; it is the one place where tokens, rates and security headers are seen to, and where
errors become statuses.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.server.exchange import Reply, Request, RequestCanceled, json_reply
from pipeline.server.guard import Guard
from pipeline.server.running import Running
from pipeline.shapes import error_json
from pipeline.web import answering, dialect, keeping, mapping, model_keeping, searching
from pipeline.web.access import Rate, require_own_page, require_token
from pipeline.web.failures import (
    Busy,
    Forbidden,
    HttpError,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    failure_reply,
)
from pipeline.web.library import Library
from pipeline.web.metrics import TEXT_FORMAT
from pipeline.web.openapi import openapi_document
from pipeline.web.operation import JSON, Call, Operation
from pipeline.web.schema import reference, string
from pipeline.web.service import Service
from pipeline.web.settings import WebSettings
from pipeline.web.shown import SCHEMAS
from pipeline.web.static_files import INDEX, file_reply, read_files

STATIC = "static"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
SECURITY = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
NEVER_KEPT = {"cache-control": "no-store"}


def health(_: Service, __: Call) -> Reply:
    return json_reply({"status": "ok"})


def metrics(service: Service, _: Call) -> Reply:
    states = [job.state for job in service.jobs.all()]
    gauges = [
        ("pipeline_jobs", "Jobs by state.", {"state": state}, float(states.count(state)))
        for state in ("waiting", "running", "done", "failed", "canceled")
    ]
    text = service.metrics.text(gauges)
    return Reply(headers={"content-type": TEXT_FORMAT}, body=text.encode())


SYSTEM = (
    Operation(
        method="GET",
        path="/healthz",
        name="health",
        summary="200 once requests are answered.",
        tag="system",
        handler=health,
        replies={200: {JSON: reference("Status")}},
        public=True,
    ),
    Operation(
        method="GET",
        path="/metrics",
        name="metrics",
        summary="Counters in the text format of Prometheus.",
        tag="system",
        handler=metrics,
        replies={200: {"text/plain": string()}},
    ),
)
OPERATIONS: tuple[Operation, ...] = (
    *searching.OPERATIONS,
    *answering.OPERATIONS,
    *keeping.OPERATIONS,
    *mapping.OPERATIONS,
    *model_keeping.OPERATIONS,
    *dialect.OPERATIONS,
    *SYSTEM,
)
ALL_SCHEMAS = {**SCHEMAS, **mapping.SHOWN, **dialect.SHOWN}


class WebApp:
    """An `Application` of `pipeline.server.serve`. Close it to break off what runs and end jobs and connection."""

    def __init__(self, config: Config, settings: WebSettings | None = None) -> None:
        self.settings = settings or WebSettings()
        self.library = Library(config)
        self.service = Service(self.library, self.settings)
        self._files = read_files()
        self._rate = Rate(self.settings.rate, self.settings.burst)
        self._document = openapi_document(OPERATIONS, ALL_SCHEMAS, with_token=bool(self.settings.token))
        self._running = Running()

    @property
    def threads(self) -> int:
        return self.settings.threads

    def guard(self, bound: str) -> Guard:
        """Only the page itself may ask: no other origin is let in."""
        told = Forbidden("this host or origin may not ask here", hint="open the address that `pipeline web` printed")
        return Guard(bound=bound, origins=(), refused=_secured(failure_reply(told)))

    def body_limit(self, method: str, path: str) -> int | None:
        takes_file = any(each.takes_file and each.match(_parts(path)) is not None for each in OPERATIONS)
        return None if takes_file and method == "PUT" else self.settings.body_bytes

    def refusal(self, path: str, status: int, text: str) -> Reply:
        del path
        if status == TooLarge.status:
            told: HttpError = TooLarge(f"the body is longer than {self.settings.body_bytes:,} bytes")
        else:
            told = Busy(text, hint="try again in a moment")
        return _secured(json_reply(error_json(told), status))

    def handle(self, request: Request) -> Reply:
        """Answers a request; every failure is an answer too. The caller closes the reply."""
        started = time.perf_counter()
        self._running.add(request.cancellation)
        name, reply = self._answered(request)
        self.service.metrics.answered(name, request.method, reply.status, time.perf_counter() - started)
        return _secured(reply)

    def close(self) -> None:
        self._running.end()
        self.service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answered(self, request: Request) -> tuple[str, Reply]:
        """The operation's name, for the metrics, and the reply."""
        try:
            self._rate.take(request.client)
            if (file := self._file(request)) is not None:
                return STATIC, file
            operation, path = self._operation(request)
        except PipelineError as error:
            return "none", failure_reply(error)
        try:
            if not operation.public:
                require_own_page(request.headers)
                require_token(self.settings.token, request.headers)
            return operation.name, operation.handler(self.service, operation.call(request, path))
        except RequestCanceled:
            return operation.name, failure_reply(Busy("the request was broken off"))
        except Exception as error:  # noqa: BLE001  the edge: whatever happens, the client gets an answer
            return operation.name, failure_reply(error)

    def _file(self, request: Request) -> Reply | None:
        """A file of the page, or the OpenAPI document: what there is without a collection."""
        parts = _parts(request.path)
        is_file = parts[0] in ("", STATIC)
        if not is_file and request.path != "/api/openapi.json":
            return None
        if request.method not in ("GET", "HEAD"):
            raise _wrong_method(["GET", "HEAD"])
        if not is_file:
            require_token(self.settings.token, request.headers)
            return json_reply(self._document)
        file = self._files.get("/".join(parts[1:]) if parts[0] else INDEX)
        if file is None:
            raise NotFound(f"there is no {request.path}")
        return file_reply(file, request)

    def _operation(self, request: Request) -> tuple[Operation, Mapping[str, str]]:
        parts = _parts(request.path)
        found = [(each, path) for each in OPERATIONS if (path := each.match(parts)) is not None]
        method = "GET" if request.method == "HEAD" else request.method
        for operation, path in found:
            if operation.method == method:
                return operation, path
        if found:
            raise _wrong_method([operation.method for operation, _ in found])
        raise NotFound(f"there is no {request.path}", hint="see /api/openapi.json")


def _parts(path: str) -> list[str]:
    return path.removeprefix("/").split("/")


def _wrong_method(allowed: list[str]) -> MethodNotAllowed:
    methods = ", ".join(allowed)
    return MethodNotAllowed("this cannot be done here", hint=f"it takes {methods}", headers={"allow": methods})


def _secured(reply: Reply) -> Reply:
    return replace(reply, headers={**NEVER_KEPT, **reply.headers, **SECURITY})
