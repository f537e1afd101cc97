"""Where errors become HTTP: an exception comes in, a status and `{"error": {"type", "message", "hint"}}` go out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from pipeline import errors
from pipeline.errors import (
    ApiError,
    Canceled,
    CollectionLocked,
    CollectionNotFound,
    DimensionMismatch,
    MissingExtra,
    ModelMismatch,
    ModelNotFound,
    NotSupported,
    PipelineError,
    ServerBusy,
    ServerTimeout,
    StorageUnwritable,
    UsageError,
)
from pipeline.server.exchange import Refusal, Reply, json_reply
from pipeline.shapes import error_json

logger = logging.getLogger(__name__)

STATUSES: tuple[tuple[type[PipelineError], int], ...] = (
    (UsageError, 400),
    (CollectionNotFound, 404),
    (ModelNotFound, 404),
    (CollectionLocked, 409),
    (ModelMismatch, 409),
    (DimensionMismatch, 409),
    (Canceled, 409),
    (StorageUnwritable, 507),
    (MissingExtra, 501),
    (errors.BadRequest, 400),
    (NotSupported, 400),
    (ServerBusy, 503),
    (ServerTimeout, 504),
    (ApiError, 502),
)
"""The first that fits counts; any other error is a 500."""


class HttpError(PipelineError):
    """A request that is refused before anything is done for it; `headers` go out with the reply."""

    status = 400

    def __init__(self, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.headers = dict(headers or {})


class BadRequest(HttpError):
    pass


class Unauthorized(HttpError):
    status = 401


class Forbidden(HttpError):
    status = 403


class NotFound(HttpError):
    status = 404


class MethodNotAllowed(HttpError):
    status = 405


class Conflict(HttpError):
    status = 409


class TooLarge(HttpError):
    status = 413


class TooManyRequests(HttpError):
    status = 429


class Busy(HttpError):
    status = 503


def failed(error: Exception) -> tuple[int, PipelineError]:
    """The status of an error, and the error as it is told; what nobody foresaw is logged."""
    if isinstance(error, HttpError):
        return error.status, error
    if isinstance(error, Refusal):
        return error.status, HttpError(error.text)
    if isinstance(error, PipelineError):
        return next((status for kind, status in STATUSES if isinstance(error, kind)), 500), error
    logger.error("a request failed", exc_info=error)
    return 500, PipelineError(f"unexpected: {error}", hint="this is a defect of pipeline: report it")


def failure_reply(error: Exception) -> Reply:
    status, told = failed(error)
    reply = json_reply(error_json(told), status)
    extra = told.headers if isinstance(told, HttpError) else {}
    return replace(reply, headers={**reply.headers, **extra})
