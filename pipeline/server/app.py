"""The embedded server without a socket: a Request comes in, a Reply goes out.

`App` is what both the socket server and the in-process transports call. It knows the routes, and it is the one
place where errors become statuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from pipeline.server import blobs, library
from pipeline.server.chat import chat
from pipeline.server.creating import create
from pipeline.server.embedding import embed, embeddings
from pipeline.server.engine import Engine
from pipeline.server.exchange import (
    BODY_TOO_LARGE,
    Reply,
    Request,
    RequestCanceled,
    error_reply,
    json_reply,
    text_reply,
)
from pipeline.server.failures import failure
from pipeline.server.generate import generate
from pipeline.server.guard import Guard, allowed_origins
from pipeline.server.models import ModelStore
from pipeline.server.pool import SHUTTING_DOWN, EnginePool, Load
from pipeline.server.pruning import prune
from pipeline.server.pulling import pull, push
from pipeline.server.running import Running
from pipeline.server.service import Service
from pipeline.server.settings import ServerSettings
from pipeline.server.v1 import models as v1_models
from pipeline.server.v1.chat import chat_completions
from pipeline.server.v1.completions import completions
from pipeline.server.v1.dialect import error_object
from pipeline.server.v1.embeddings import embeddings as v1_embeddings
from pipeline.server.v1.responses import responses

Handler = Callable[[Service, Request], Reply]
SPARE_THREADS = 32
"""Threads beyond those in which requests wait for a model."""

ROUTES: dict[str, dict[str, Handler]] = {
    "/": {"GET": library.root, "HEAD": library.root},
    "/api/version": {"GET": library.version, "HEAD": library.version},
    "/api/status": {"GET": library.status},
    "/api/tags": {"GET": library.tags, "HEAD": library.tags},
    "/api/ps": {"GET": library.running},
    "/api/show": {"POST": library.show},
    "/api/pull": {"POST": pull},
    "/api/push": {"POST": push},
    "/api/create": {"POST": create},
    "/api/copy": {"POST": library.copy},
    "/api/delete": {"DELETE": library.delete},
    "/api/embed": {"POST": embed},
    "/api/embeddings": {"POST": embeddings},
    "/api/generate": {"POST": generate},
    "/api/chat": {"POST": chat},
    "/v1/models": {"GET": v1_models.models},
    "/v1/embeddings": {"POST": v1_embeddings},
    "/v1/completions": {"POST": completions},
    "/v1/chat/completions": {"POST": chat_completions},
    "/v1/responses": {"POST": responses},
}
ROUTES_BELOW: dict[str, dict[str, Handler]] = {
    blobs.ONE: {"HEAD": blobs.has, "POST": blobs.take},
    v1_models.ONE: {"GET": v1_models.model},
}
"""Paths that end with a name: the handler reads it from the request."""


def takes_pieces(method: str, path: str) -> bool:
    """Whether a request's body may be of any size: it is handed over unread, as `Request.incoming`."""
    return method == "POST" and path.startswith(blobs.ONE)


class App:
    """Thread-safe: `handle` may run in any number of threads. Close it to break off what runs and unload the models."""

    def __init__(self, store: ModelStore, settings: ServerSettings | None = None, *, load: Load = Engine) -> None:
        self.settings = settings or ServerSettings()
        self._pool = EnginePool(self.settings, load=load)
        self._service = Service(store, self.settings, self._pool)
        self._running = Running()

    @property
    def threads(self) -> int:
        return self.settings.max_queue + SPARE_THREADS

    def guard(self, bound: str) -> Guard:
        return Guard(bound=bound, origins=allowed_origins(self.settings.origins))

    def body_limit(self, method: str, path: str) -> int | None:
        return None if takes_pieces(method, path) else self.settings.max_body_bytes

    def refusal(self, path: str, status: int, text: str) -> Reply:
        return refusal(path, status, text)

    def handle(self, request: Request) -> Reply:
        """Answer a request; every failure is an answer too. The caller closes the reply."""
        methods = _methods(request.path)
        if methods is None:
            return _not_found(request)
        handler = methods.get(request.method)
        if handler is None:
            reply = text_reply("405 method not allowed", 405, "text/plain")
            return Reply(status=405, headers={**reply.headers, "allow": ", ".join(methods)}, body=reply.body)
        if len(request.body) > self.settings.max_body_bytes:
            return refusal(request.path, 413, BODY_TOO_LARGE)
        self._running.add(request.cancellation)
        try:
            return handler(self._service, request)
        except Exception as error:  # noqa: BLE001  the edge: whatever happens, the client gets an answer
            if self._running.ended and isinstance(error, RequestCanceled):
                return refusal(request.path, 503, SHUTTING_DOWN)
            return refusal(request.path, *failure(error))

    def prune(self) -> None:
        """Removes what the store no longer needs."""
        prune(self._service.store)

    def close(self) -> None:
        """An engine in use goes when its last user, who is cancelled, lets go of it."""
        self._running.end()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _not_found(request: Request) -> Reply:
    """Unknown paths; one that only has a slash too many is sent to the right place, as the real server does."""
    shorter = request.path.rstrip("/")
    if shorter and shorter != request.path and shorter in ROUTES:
        return Reply(status=301 if request.method == "GET" else 307, headers={"location": shorter})
    return text_reply("404 page not found", 404, "text/plain")


def _methods(path: str) -> dict[str, Handler] | None:
    below = (methods for start, methods in ROUTES_BELOW.items() if path.startswith(start) and path != start)
    return ROUTES.get(path) or next(below, None)


def refusal(path: str, status: int, text: str) -> Reply:
    """An error in the form that the clients of `path` read."""
    if path.startswith("/v1/"):
        return json_reply(error_object(status, text), status)
    return error_reply(status, text)
