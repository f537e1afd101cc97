"""Requests to a registry: a method and an address come in, a reply goes out, signed in to where that is asked.

Errors carry the words that the real server has for them.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from pipeline.errors import WeightsUnavailable
from pipeline.server.exchange import Cancellation
from pipeline.server.registry.reference import Reference, is_loopback
from pipeline.server.registry.signing import parse_challenge, signature
from pipeline.version import VERSION

Content = Callable[[], Iterable[bytes]]

CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0
"""A reply, or a piece of one, that does not come for so long has stalled."""
MOST_REDIRECTS = 10
MOST_CONNECTIONS = 16
"""Of one registry, that are remembered to be hung up on; a request uses one or two."""
LARGEST_REPLY = 4 * 2**20
"""Bytes of a manifest, a token or an error's text: they are held in memory."""
LONGEST_ERROR = 1000
UNEXPECTED_END = "unexpected EOF"


class RegistryError(WeightsUnavailable):
    """A registry refused, or could not be reached; `message` has the real server's words."""


class NotThere(RegistryError):
    def __init__(self) -> None:
        super().__init__("file does not exist")


class Registry:
    """One registry, for one model. Thread-safe; close it when the work is done."""

    def __init__(self, reference: Reference, *, token: str = "") -> None:
        self.reference = reference
        self.base_url = reference.base_url
        self.host = urlsplit(self.base_url).netloc
        self._token = token
        self._connections: deque[Any] = deque(maxlen=MOST_CONNECTIONS)
        self._client = httpx.Client(
            timeout=httpx.Timeout(STALL_SECONDS, connect=CONNECT_SECONDS, pool=None),
            headers={"user-agent": f"pipeline/{VERSION}", "accept-encoding": "identity"},
            # A proxy of the environment is not for this machine.
            trust_env=not is_loopback(self.base_url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def again(self) -> Registry:
        """The same registry for another thread to close, signed in to as this one is."""
        return Registry(self.reference, token=self._token)

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | Content = b"",
        cancellation: Cancellation | None = None,
    ) -> Generator[httpx.Response]:
        """A reply whose body is not read yet, whatever redirect it is; `url` may be relative to the model's.

        The token goes to the registry and to nobody else. Setting `cancellation` hangs up, at any moment.
        Raises RegistryError: NotThere for 404, the server's words for other errors.
        """
        url = urljoin(self.base_url + "/", url)
        for last in (False, True):
            with (
                _naming(method, url),
                self._sent(method, url, headers or {}, content, cancellation or Cancellation()) as reply,
            ):
                if reply.status_code != 401:
                    _raise_for_status(reply)
                    yield reply
                    return
                if last or urlsplit(url).netloc != self.host:
                    break
                challenge = reply.headers.get("www-authenticate", "")
            self._sign_in(challenge)
        raise RegistryError("unauthorized: access denied")

    def read(self, method: str, url: str, **options: Any) -> tuple[httpx.Response, bytes]:
        """A reply and its whole body; what is not small is refused."""
        with self.open(method, url, **options) as reply:
            return reply, _read(reply)

    @contextmanager
    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | Content, cancellation: Cancellation
    ) -> Generator[httpx.Response]:
        own = {"authorization": f"Bearer {self._token}"} if self._token and urlsplit(url).netloc == self.host else {}
        body = content if isinstance(content, bytes) else content()
        request = self._client.build_request(
            method, url, headers={**headers, **own}, content=body, extensions={"trace": self._note_connection}
        )
        with cancellation.watch(self._hang_up):
            try:
                reply = self._client.send(request, stream=True)
                try:
                    yield reply
                finally:
                    reply.close()
            except httpx.HTTPError:
                cancellation.check()  # it may have been us who hung up
                raise

    def _note_connection(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore at each step of a request."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._connections.append(info["return_value"])

    def _hang_up(self) -> None:
        """Wakes the thread that waits for a reply, or for the rest of one."""
        for stream in tuple(self._connections):
            connection = stream.get_extra_info("socket")
            if connection is not None:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _sign_in(self, header: str) -> None:
        url = parse_challenge(header, host=self.host).url()
        signed = signature(url)
        headers = {"authorization": signed} if signed else {}
        with _naming("GET", url), self._client.stream("GET", url, headers=headers) as reply:
            body = _read(reply)
        if reply.status_code >= 400:
            raise RegistryError(_refusal(reply.status_code, body))
        try:
            given = json.loads(body)
            self._token = str(given.get("token") or given["access_token"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(f"{urlsplit(url).netloc} gave no token") from error


def location(reply: httpx.Response) -> str:
    """Where a registry says that an upload goes on, as a whole address."""
    return _absolute(reply, reply.headers.get("docker-upload-location") or reply.headers.get("location") or "")


def redirect_of(reply: httpx.Response) -> str:
    return _absolute(reply, reply.headers.get("location", ""))


def _absolute(reply: httpx.Response, place: str) -> str:
    whole = urljoin(str(reply.request.url), place)
    if not place or urlsplit(whole).scheme not in ("http", "https"):
        raise RegistryError(f'{reply.request.url} leads to "{place}"')
    return whole


def _raise_for_status(reply: httpx.Response) -> None:
    if reply.status_code == 404:
        raise NotThere
    if reply.status_code >= 400:
        raise RegistryError(_refusal(reply.status_code, _read(reply)))


def _refusal(status: int, body: bytes) -> str:
    return f"{status}: {body.decode('utf-8', 'replace')[:LONGEST_ERROR]}"


def _read(reply: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in reply.iter_raw():
        parts.append(part)
        size += len(part)
        if size > LARGEST_REPLY:
            raise RegistryError(f"{reply.request.url} is larger than {LARGEST_REPLY} bytes")
    return b"".join(parts)


@contextmanager
def _naming(method: str, url: str) -> Generator[None]:
    """Failures of the network in the words of the real server."""
    try:
        yield
    except httpx.HTTPError as error:
        raise RegistryError(f'{method.capitalize()} "{url}": {cause_of(error, url)}') from error
    except httpx.InvalidURL as error:
        raise RegistryError(f'parse "{url}": {error}') from error


def cause_of(error: httpx.HTTPError, url: str) -> str:
    """What went wrong, as Go's network library says it."""
    host, text = urlsplit(url).netloc, str(error)
    if isinstance(error, httpx.RemoteProtocolError):
        return UNEXPECTED_END
    if isinstance(error, httpx.TimeoutException):
        return "i/o timeout"
    if "WRONG_VERSION_NUMBER" in text:
        return "http: server gave HTTP response to HTTPS client"
    if isinstance(error, httpx.ConnectError):
        if "refused" in text:
            return f"dial tcp {host}: connect: connection refused"
        if "not known" in text:
            return f"dial tcp: lookup {urlsplit(url).hostname}: no such host"
        return f"dial tcp: {text}"
    return text or type(error).__name__
