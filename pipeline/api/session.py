"""What the sync and the async client share: addresses, settings, the state of a call through its attempts, streams.

In: a client's arguments, replies and errors. Out: what to do next; records. No I/O.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.request import getproxies

import httpx

from pipeline.api.address import Address, parse_hosts
from pipeline.api.endpoints import Call, StreamCall
from pipeline.api.fleet import Fleet
from pipeline.api.replies import ModelInfo, Progress
from pipeline.api.retry import RetryPolicy, retriable
from pipeline.api.wire import EventSplitter, LineSplitter, decode_line, error_from_status, naming_request
from pipeline.errors import (
    ApiError,
    ModelNotFound,
    PipelineError,
    PullFailed,
    StatusError,
    StreamInterrupted,
    UsageError,
)

logger = logging.getLogger(__name__)

Reply = TypeVar("Reply")
OnRetry = Callable[[int, float, ApiError], None]
OnPull = Callable[[str, Progress], None]

CONNECT_SECONDS = 5.0
REPLY_SECONDS = 300.0
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
END_OF_EVENTS = b"[DONE]"


class Session:
    """A client without its transport."""

    def __init__(
        self,
        host: str | Sequence[str] | None,
        *,
        timeout: float,
        retry: RetryPolicy | None,
        headers: Mapping[str, str] | None,
        per_host: int | None,
        on_retry: OnRetry | None,
        on_pull: OnPull | None,
    ) -> None:
        self.addresses = parse_hosts(host if host is not None else os.environ.get("OLLAMA_HOST", ""))
        for address in self.addresses:
            _check_url(address.base_url)
        self.retry = retry or RetryPolicy()
        self.per_host = per_host
        self.fleet = Fleet(len(self.addresses), per_host=per_host)
        self.on_pull = on_pull
        self._on_retry = on_retry
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._lock = threading.Lock()
        self._requests_sent = 0
        self._pulls: dict[tuple[int, str], int] = {}
        self._digests: dict[str, tuple[str, str]] = {}
        self._agreed: set[tuple[int, str]] = set()

    @property
    def requests_sent(self) -> int:
        return self._requests_sent

    def settings(self, address: Address) -> dict[str, Any]:
        """Arguments of the httpx client for one host. Proxies of the environment are not for this machine."""
        key = os.environ.get("OLLAMA_API_KEY", "").strip()
        return {
            "base_url": address.base_url,
            "timeout": httpx.Timeout(self._timeout, connect=min(CONNECT_SECONDS, self._timeout)),
            "headers": {**({"Authorization": f"Bearer {key}"} if key else {}), **self._headers},
            "trust_env": not _is_here(address),
        }

    def is_plain(self, address: Address) -> bool:
        """Whether requests go straight to the host over plain HTTP: no TLS, and no proxy of the environment."""
        proxied = not _is_here(address) and bool({"http", "all"} & getproxies().keys())
        return address.scheme == "http" and not proxied

    def describe(self, host: int, method: str, path: str) -> str:
        return f"{method} {self.addresses[host].base_url}{path}"

    def counted(self) -> None:
        with self._lock:
            self._requests_sent += 1

    def pulls(self, host: int, model: str) -> int:
        """How often `model` was pulled on `host` by this client."""
        with self._lock:
            return self._pulls.get((host, model), 0)

    def pulled(self, host: int, model: str) -> None:
        with self._lock:
            self._pulls[host, model] = self._pulls.get((host, model), 0) + 1

    def must_agree(self, host: int, call: Call[Any]) -> bool:
        """Whether the host's model has still to be compared with that of the others."""
        return call.spread and len(self.addresses) > 1 and (host, call.model or "") not in self._agreed

    def agree(self, host: int, model: str, models: Sequence[ModelInfo]) -> bool:
        """Compares the host's digest of `model` with the first one seen; a host with another one is refused.

        Raises ModelNotFound if the host does not have it.
        """
        name = model if ":" in model.rsplit("/", 1)[-1] else f"{model}:latest"
        digest = next((item.digest for item in models if item.name.lower() == name.lower()), None)
        address = self.addresses[host].base_url
        if digest is None:
            raise ModelNotFound(
                f"model {model!r} is not on {address}",
                status=404,
                server_text=f"model '{model}' not found",
                request=f"GET {address}/api/tags",
                hint=f"pipeline models pull {model} --host {address}",
            )
        with self._lock:
            expected, first = self._digests.setdefault(model, (digest, address))
            if digest == expected:
                self._agreed.add((host, model))
                return True
        logger.warning(
            "%s is left out: its %s has digest %s, that of %s has %s", address, model, digest[:12], first, expected[:12]
        )
        self.fleet.refuse(host, model)
        return False

    def told(self, attempt: int, delay: float, error: ApiError) -> None:
        logger.info("attempt %d failed, the next in %.2f s: %s", attempt, delay, error)
        if self._on_retry is not None:
            self._on_retry(attempt, delay, error)


def _is_here(address: Address) -> bool:
    """Whether a client that connects to the address stays on this machine."""
    return httpx.URL(address.base_url).host in LOOPBACK


def _check_url(url: str) -> None:
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UsageError(f"{url!r} is no address of a server: {error}", hint="correct OLLAMA_HOST or --host") from error


class Attempts:
    """One call on its way: which hosts were tried, how often, since when."""

    def __init__(self, session: Session, *, model: str | None, spread: bool = False) -> None:
        self._session = session
        self.model = model
        self.spread = spread
        self._started = time.monotonic()
        self._number = 1
        self._tried: set[int] = set()
        self._seen_pulls = 0
        self._pulled: set[int] = set()

    def acquire(self) -> int | None:
        """The host to ask now; None if all have enough to do."""
        host = self._session.fleet.acquire(
            spread=self.spread, model=self.model, tried=self._tried, now=time.monotonic()
        )
        if host is not None and self.model is not None:
            self._seen_pulls = self._session.pulls(host, self.model)
        return host

    def release(self, host: int, error: BaseException | None = None) -> None:
        failed = isinstance(error, ApiError) and retriable(error)
        self._session.fleet.release(host, failed=failed, now=time.monotonic())

    def pull_is_due(self, host: int, error: PipelineError) -> bool:
        """Whether the host should pull the model and the call be made again; true once a host."""
        wanted = self._session.retry.pull_missing and self.model is not None and host not in self._pulled
        if not (wanted and isinstance(error, ModelNotFound)):
            return False
        self._pulled.add(host)
        return True

    def was_pulled_meanwhile(self, host: int) -> bool:
        return self.model is not None and self._session.pulls(host, self.model) != self._seen_pulls

    def delay(self, host: int, error: PipelineError) -> float:
        """Seconds until the next attempt, on another host at once if one is well; raises `error` to give up."""
        if not isinstance(error, ApiError) or not retriable(error):
            raise error
        first = host not in self._tried
        self._tried.add(host)
        session, now = self._session, time.monotonic()
        if (
            first
            and session.retry.attempts > 1
            and session.fleet.another_is_well(tried=self._tried, model=self.model, now=now)
        ):
            session.told(self._number, 0.0, error)
            return 0.0
        delay = session.retry.delay(error, attempt=self._number, elapsed=now - self._started)
        if delay is None:
            raise error
        session.told(self._number, delay, error)
        self._number += 1
        self._tried.clear()
        return delay


def cannot_be_pulled(model: str, missing: PipelineError, error: StatusError) -> StatusError:
    """The error for a model that the server lacks and its registry too, or that something kept it from pulling."""
    unknown = isinstance(error, ModelNotFound)
    kind = ModelNotFound if unknown else PullFailed
    return kind(
        f"model {model!r} is not on the server and cannot be pulled: {error.server_text}",
        status=missing.status if unknown and isinstance(missing, StatusError) else error.status,
        server_text=error.server_text,
        request=error.request,
        hint=(not unknown and error.hint) or "check the name with `pipeline models list`, and the network",
    )


def require_success(reply: httpx.Response, request: str) -> None:
    """Raises the error that a reply stands for."""
    if not 200 <= reply.status_code < 300:
        raise error_from_status(reply.status_code, reply.headers, reply.content, request)


def read_reply(call: Call[Reply], reply: httpx.Response, request: str) -> Reply:
    """The record that a reply holds, or the error that it stands for."""
    require_success(reply, request)
    with naming_request(request):
        return call.parse(reply.content)


class StreamReader:
    """Turns the bytes of one streamed reply into records and knows whether it is whole."""

    def __init__(self, call: StreamCall[Any], request: str) -> None:
        self._call = call
        self._request = request
        self._splitter = EventSplitter() if call.framing == "sse" else LineSplitter()
        self._text: list[str] = []
        self._begun = False
        self._whole = False

    @property
    def partial(self) -> str | None:
        """The text that has come; None before the first piece."""
        return "".join(self._text) if self._begun else None

    def feed(self, piece: bytes) -> Iterator[Any]:
        for line in self._splitter.feed(piece):
            yield from self._read(line)

    def finish(self) -> Iterator[Any]:
        for line in self._splitter.finish():
            yield from self._read(line)
        if not self._whole:
            raise StreamInterrupted(
                f"{self._request}: the stream ended before it was done",
                partial="".join(self._text),
                request=self._request,
                hint="look at the server's log, then try again",
            )

    def _read(self, line: bytes) -> Iterator[Any]:
        if self._call.framing == "sse" and line == END_OF_EVENTS:
            self._whole = True
            return
        with naming_request(self._request):
            reply = self._call.parse(decode_line(line))
        self._begun = True
        self._whole = self._whole or self._call.finished(reply)
        self._text.append(self._call.text(reply))
        yield reply
