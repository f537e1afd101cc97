"""`Client`: every endpoint, a line each. `AsyncClient` has the same methods, awaited.

In: method arguments. Out: records of `pipeline.api.replies`, or iterators of them; errors of `pipeline.errors`. What
is asked is described in `endpoints`, what happens when it fails in `session`.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx

from pipeline.api import endpoints
from pipeline.api.blobs import Blob, CreatePlan, OnBytes
from pipeline.api.endpoints import Call, StreamCall
from pipeline.api.fields import ChatFields, CreateFields, GenerateFields, KeepAlive, MessageLike
from pipeline.api.plain_transport import PlainTransport
from pipeline.api.replies import (
    ChatReply,
    EmbedReply,
    GenerateReply,
    ModelInfo,
    Progress,
    RunningModel,
    ShowReply,
)
from pipeline.api.retry import RetryPolicy
from pipeline.api.session import (
    REPLY_SECONDS,
    Attempts,
    OnPull,
    OnRetry,
    Session,
    StreamReader,
    cannot_be_pulled,
    read_reply,
    require_success,
)
from pipeline.api.wire import error_from_httpx, error_from_status
from pipeline.errors import PipelineError, StatusError

if TYPE_CHECKING:
    from pipeline.api.v1 import V1

Reply = TypeVar("Reply")


class Client:
    """Speaks to one server, or to several that serve the same models; may be shared by threads.

    Args:
        host: an address as OLLAMA_HOST has it, or several, in a comma list or a sequence; None takes OLLAMA_HOST,
            else http://127.0.0.1:11434. With several, embedding is spread over all of them, everything else goes to
            the first that is well; a host whose model has another digest is left out.
        timeout: seconds to wait for a reply, or for the next piece of a streamed one.
        retry: what is tried again, and whether missing models are pulled; a stream is only asked for again while
            nothing of it has come.
        per_host: the most embedding requests in flight on each host; None: no limit.
        on_retry: called with attempt, delay in seconds and error before each further attempt.
        on_pull: called with the model's name and each progress event when a missing model is pulled.
        transport: how requests travel; the embedded server gives one that needs no socket.

    Every method raises the errors of `pipeline.errors.ApiError`'s tree, and UsageError for arguments that no server
    could act on. `v1` holds the endpoints of the OpenAI dialect.
    """

    def __init__(
        self,
        host: str | Sequence[str] | None = None,
        *,
        timeout: float = REPLY_SECONDS,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        per_host: int | None = None,
        on_retry: OnRetry | None = None,
        on_pull: OnPull | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._session = Session(
            host,
            timeout=timeout,
            retry=retry,
            headers=headers,
            per_host=per_host,
            on_retry=on_retry,
            on_pull=on_pull,
        )
        self._http = [
            httpx.Client(
                **self._session.settings(address),
                transport=transport or (PlainTransport() if self._session.is_plain(address) else None),
            )
            for address in self._session.addresses
        ]
        self._freed = threading.Condition()
        self._pulling = threading.Lock()
        self._comparing = threading.Lock()

    @cached_property
    def v1(self) -> V1:
        """The endpoints of the OpenAI dialect."""
        from pipeline.api.v1 import V1  # noqa: PLC0415 - heavy, and a dialect of its own

        return V1(self._call, self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for http in self._http:
            http.close()

    @property
    def base_url(self) -> str:
        """The URL of the first host."""
        return self._session.addresses[0].base_url

    @property
    def hosts(self) -> tuple[str, ...]:
        """The URLs of all hosts."""
        return tuple(address.base_url for address in self._session.addresses)

    @property
    def per_host(self) -> int | None:
        """How many embed requests this client has in flight on a host at most; None: as many as are made."""
        return self._session.per_host

    @property
    def requests_sent(self) -> int:
        """How many requests this client has made, retries included."""
        return self._session.requests_sent

    def version(self) -> str:
        return self._call(endpoints.version())

    def tags(self) -> tuple[ModelInfo, ...]:
        """The models on the server."""
        return self._call(endpoints.tags())

    def ps(self) -> tuple[RunningModel, ...]:
        """The models that are loaded."""
        return self._call(endpoints.ps())

    def show(
        self,
        model: str,
        *,
        verbose: bool = False,
        system: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ShowReply:
        """What the server knows of a model; `verbose` adds the tokenizer's vocabulary and the list of tensors."""
        return self._call(endpoints.show(model, verbose=verbose, system=system, options=options))

    def embed(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        truncate: bool = False,
        dimensions: int | None = None,
        keep_alive: KeepAlive = None,
        options: Mapping[str, Any] | None = None,
    ) -> EmbedReply:
        """Embeddings of `inputs`, row by row. An input that is too long is an InputTooLong unless `truncate`."""
        return self._call(
            endpoints.embed(
                model,
                inputs,
                truncate=truncate,
                dimensions=dimensions,
                keep_alive=keep_alive,
                options=options,
            )
        )

    def embeddings(
        self, model: str, prompt: str, *, keep_alive: KeepAlive = None, options: Mapping[str, Any] | None = None
    ) -> tuple[float, ...]:
        """Deprecated by the server: use `embed`."""
        warnings.warn("/api/embeddings is deprecated, use embed", DeprecationWarning, stacklevel=2)
        return self._call(endpoints.embeddings(model, prompt, keep_alive=keep_alive, options=options))

    def generate(self, model: str, prompt: str = "", **fields: Unpack[GenerateFields]) -> GenerateReply:
        """A completion; `fields` are those of the request. Without a prompt the model is loaded, or unloaded."""
        return self._call(endpoints.generate(model, prompt, fields))

    def generate_stream(
        self, model: str, prompt: str = "", **fields: Unpack[GenerateFields]
    ) -> Generator[GenerateReply]:
        """As `generate`, piece by piece. Closing the generator early tells the server to stop."""
        return self._stream(endpoints.generate_stream(model, prompt, fields))

    def chat(self, model: str, messages: Sequence[MessageLike], **fields: Unpack[ChatFields]) -> ChatReply:
        """An answer; `fields` are those of the request."""
        return self._call(endpoints.chat(model, messages, fields))

    def chat_stream(
        self, model: str, messages: Sequence[MessageLike], **fields: Unpack[ChatFields]
    ) -> Generator[ChatReply]:
        """As `chat`, piece by piece. Closing the generator early tells the server to stop."""
        return self._stream(endpoints.chat_stream(model, messages, fields))

    def pull(
        self, model: str, *, insecure: bool = False, on_progress: Callable[[Progress], None] | None = None
    ) -> Progress:
        """Has the server fetch a model; returns when it is there, with the last event."""
        return _last(self.pull_stream(model, insecure=insecure), on_progress)

    def pull_stream(self, model: str, *, insecure: bool = False) -> Generator[Progress]:
        return self._stream(endpoints.pull_stream(model, insecure=insecure))

    def push(
        self, model: str, *, insecure: bool = False, on_progress: Callable[[Progress], None] | None = None
    ) -> Progress:
        """Has the server send a model to its registry; returns when it is there, with the last event."""
        return _last(self.push_stream(model, insecure=insecure), on_progress)

    def push_stream(self, model: str, *, insecure: bool = False) -> Generator[Progress]:
        return self._stream(endpoints.push_stream(model, insecure=insecure))

    def create(
        self,
        model: str,
        from_: str | None = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        **fields: Unpack[CreateFields],
    ) -> Progress:
        """Makes a model from another one, or from uploaded files; returns the last event."""
        return _last(self.create_stream(model, from_, **fields), on_progress)

    def create_stream(
        self, model: str, from_: str | None = None, **fields: Unpack[CreateFields]
    ) -> Generator[Progress]:
        return self._stream(endpoints.create_stream(model, from_, fields))

    def create_planned(
        self,
        model: str,
        plan: CreatePlan,
        *,
        quantize: str | None = None,
        on_bytes: OnBytes | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Progress:
        """Uploads the files that a Modelfile names and makes the model; see `plan_create`."""

        def uploaded(files: Mapping[str, Path]) -> dict[str, str] | None:
            return {name: self.upload_blob(path, on_bytes=on_bytes) for name, path in files.items()} or None

        fields = plan.with_files(uploaded(plan.files), uploaded(plan.adapters), uploaded(plan.drafts), quantize)
        return self.create(model, plan.source, on_progress=on_progress, **fields)

    def copy(self, source: str, destination: str) -> None:
        self._call(endpoints.copy(source, destination))

    def delete(self, model: str) -> None:
        self._call(endpoints.delete(model))

    def blob_exists(self, digest: str) -> bool:
        """Whether the server has the blob `sha256:...`."""
        try:
            self._call(endpoints.blob(digest))
        except StatusError as error:
            if error.status == 404:
                return False
            raise
        return True

    def upload_blob(self, path: Path, *, on_bytes: OnBytes | None = None) -> str:
        """Sends a file, streamed from disk, unless the server has it; returns its digest `sha256:...`.

        Raises UsageError if the file cannot be read or changes meanwhile.
        """
        blob = Blob.of(path)
        if not self.blob_exists(blob.digest):
            self._call(endpoints.upload(blob, on_bytes))
        return blob.digest

    def _call(self, call: Call[Reply]) -> Reply:
        attempts = Attempts(self._session, model=call.model, spread=call.spread)
        while True:
            host = -1
            try:
                with self._asking(attempts) as host:
                    reply = self._sent(host, call) if self._agrees(host, call) else None
                if reply is not None:
                    # The host is free meanwhile: large replies take a while to read.
                    return read_reply(call, reply, self._session.describe(host, call.method, call.path))
            except PipelineError as error:
                time.sleep(self._after(error, attempts, host))

    def _once(self, host: int, call: Call[Reply]) -> Reply:
        return read_reply(call, self._sent(host, call), self._session.describe(host, call.method, call.path))

    def _sent(self, host: int, call: Call[Any]) -> httpx.Response:
        """The reply as it came, unless it stands for an error."""
        request = self._session.describe(host, call.method, call.path)
        self._session.counted()
        try:
            reply = self._http[host].request(
                call.method, call.path, json=call.body, content=call.pieces(), headers=call.headers
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise error_from_httpx(error, request) from error
        require_success(reply, request)
        return reply

    def _stream(self, call: StreamCall[Reply]) -> Generator[Reply]:
        attempts = Attempts(self._session, model=call.model)
        while True:
            begun = False
            host = -1
            try:
                with self._asking(attempts) as host:
                    for reply in self._stream_once(host, call):
                        begun = True
                        yield reply
                    return
            except PipelineError as error:
                if begun:
                    raise
                time.sleep(self._after(error, attempts, host))

    def _stream_once(self, host: int, call: StreamCall[Reply]) -> Generator[Reply]:
        request = self._session.describe(host, "POST", call.path)
        self._session.counted()
        reader = StreamReader(call, request)
        try:
            with self._http[host].stream("POST", call.path, json=call.body) as reply:
                if reply.status_code != 200:
                    raise error_from_status(reply.status_code, reply.headers, reply.read(), request)
                for piece in reply.iter_bytes():
                    yield from reader.feed(piece)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise error_from_httpx(error, request, partial=reader.partial) from error
        yield from reader.finish()

    @contextmanager
    def _asking(self, attempts: Attempts) -> Generator[int]:
        """The host to ask, which is given back when the block ends."""
        with self._freed:
            while (host := attempts.acquire()) is None:
                self._freed.wait()
        try:
            yield host
        except BaseException as error:
            attempts.release(host, error)
            raise
        else:
            attempts.release(host)
        finally:
            with self._freed:
                self._freed.notify_all()

    def _after(self, error: PipelineError, attempts: Attempts, host: int) -> float:
        """Seconds to wait before the next attempt, after a pull if that is what was missing; or raises `error`."""
        if not attempts.pull_is_due(host, error):
            return attempts.delay(host, error)
        with self._pulling:
            if not attempts.was_pulled_meanwhile(host):
                self._pull_missing(host, attempts.model or "", error)
        return 0.0

    def _pull_missing(self, host: int, model: str, missing: PipelineError) -> None:
        try:
            for progress in self._stream_once(host, endpoints.pull_stream(model)):
                if self._session.on_pull is not None:
                    self._session.on_pull(model, progress)
        except StatusError as error:
            raise cannot_be_pulled(model, missing, error) from error
        self._session.pulled(host, model)

    def _agrees(self, host: int, call: Call[Any]) -> bool:
        """Whether the host's model is the one that the other hosts have; asked once a host."""
        if not self._session.must_agree(host, call):
            return True
        with self._comparing:
            if not self._session.must_agree(host, call):
                return True
            return self._session.agree(host, call.model or "", self._once(host, endpoints.tags()))


def _last(stream: Generator[Progress], on_progress: Callable[[Progress], None] | None) -> Progress:
    progress = Progress()
    for progress in stream:
        if on_progress is not None:
            on_progress(progress)
    return progress
