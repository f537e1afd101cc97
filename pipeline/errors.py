"""Everything a caller may want to catch, each with a hint and an exit status.

PipelineError
├── UsageError                 arguments or settings that cannot be acted on; exit status 2
├── ApiError                   talking to an Ollama-compatible server failed
│   ├── ServerUnreachable        refused, reset before a reply, no such host, TLS
│   ├── ServerTimeout            no answer in the time allowed
│   ├── StatusError              the server answered with an error
│   │   ├── BadRequest             400 and other 4xx
│   │   │   └── InputTooLong         400: the input is longer than the model's context
│   │   ├── NotSupported           400 and 501: the model is there and cannot do this
│   │   ├── ModelNotFound          404 for a model
│   │   ├── PullFailed             the server lacks a model and could not pull it: no network, no space
│   │   ├── ServerBusy             429, 503
│   │   └── ServerError            500, 502, 504
│   ├── BadReply                 the reply cannot be understood, or holds the wrong number of results
│   └── StreamInterrupted        a streamed reply ended before it was done
├── EmbeddingError             a vector that must not be stored or searched with
│   ├── DimensionMismatch
│   └── BadVector                NaN, infinite or of zero length
├── ReadError                  one document cannot be read
├── Canceled                   work that was told to stop; what it had done is kept
├── StorageError               the collection on disk
│   ├── CollectionNotFound
│   ├── CollectionLocked
│   ├── CorruptCollection
│   ├── ModelMismatch            built with another model than the one asked for
│   └── StorageUnwritable        no permission, no space, read-only
└── EngineError                the embedded server's own parts
    ├── MissingExtra
    └── WeightsUnavailable
"""

from __future__ import annotations

from pathlib import Path

from pipeline.installed import install_command


class PipelineError(Exception):
    """Root of every error this package raises on purpose.

    `hint` is one sentence that says what to do; `exit_status` is what the command line ends with.
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def type_name(self) -> str:
        """The stable name that `--json` prints as `error.type`."""
        return type(self).__name__


class UsageError(PipelineError):
    """`at` is where in the argument the mistake stands, in characters, where that is known."""

    exit_status = 2
    at: int | None = None


class ApiError(PipelineError):
    """A call to a server failed. `request` reads like `POST http://127.0.0.1:11434/api/embed`."""

    def __init__(self, message: str, *, request: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.request = request


class ServerUnreachable(ApiError):
    pass


class ServerTimeout(ApiError):
    pass


class StatusError(ApiError):
    """The server answered with an error: `status` is the HTTP status, `server_text` its own words.

    An error object in mid-stream carries the status of the stream (200). `retry_after` is the server's
    `Retry-After` in seconds, when it sent one.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        server_text: str,
        request: str = "",
        hint: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, request=request, hint=hint)
        self.status = status
        self.server_text = server_text
        self.retry_after = retry_after


class BadRequest(StatusError):
    pass


class InputTooLong(BadRequest):
    pass


class NotSupported(StatusError):
    """The model is there and cannot do this: embed, chat, call tools."""


class ModelNotFound(StatusError):
    pass


class PullFailed(StatusError):
    pass


class ServerBusy(StatusError):
    pass


class ServerError(StatusError):
    pass


class BadReply(ApiError):
    pass


class StreamInterrupted(ApiError):
    """A stream ended before `done`. `partial` is the text that had arrived."""

    def __init__(self, message: str, *, partial: str = "", request: str = "", hint: str = "") -> None:
        super().__init__(message, request=request, hint=hint)
        self.partial = partial


class EmbeddingError(PipelineError):
    pass


class DimensionMismatch(EmbeddingError):
    """A vector, segment or query of the wrong dimension for its model."""

    def __init__(self, *, model: str, expected: int, actual: int, where: str, hint: str = "") -> None:
        super().__init__(
            f"{where}: model {model!r} gives {expected} dimensions, this has {actual}",
            hint=hint
            or f"use a collection built with the same model, or index again into a new one (-c NAME --model {model})",
        )
        self.model = model
        self.expected = expected
        self.actual = actual
        self.where = where


class BadVector(EmbeddingError):
    pass


class ReadError(PipelineError):
    """One document cannot be read; the others are not touched by that."""

    def __init__(self, message: str, *, path: Path, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class Canceled(PipelineError):
    pass


class StorageError(PipelineError):
    pass


class CollectionNotFound(StorageError):
    pass


class CollectionLocked(StorageError):
    pass


class CorruptCollection(StorageError):
    pass


class ModelMismatch(StorageError):
    pass


class StorageUnwritable(StorageError):
    pass


class EngineError(PipelineError):
    pass


class MissingExtra(EngineError):
    """A part that ships in an extra is not installed."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} is not installed", hint=install_command(extra))
        self.extra = extra


class WeightsUnavailable(EngineError):
    pass
