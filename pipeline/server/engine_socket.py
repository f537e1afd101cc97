"""The way to an engine in this process: a socket in a private folder, requests over it, and hanging up.

A path and a JSON body go in; the lines of the answer come out, or an error that says whether the engine refused
or was stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import re
import socket
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import EngineError
from pipeline.server.exchange import Cancellation

_SOCKET_NAME = "e.sock"  # the engine knows a socket by this ending
_LONGEST_SOCKET_PATH = 100
_OUR_FOLDER = re.compile(r"pipeline-(\d+)-")


class EngineRefusal(EngineError):
    """The engine answered with an error: `status` and its own words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class EngineStopped(EngineError):
    """The connection to the engine broke in mid-answer."""


class PrivateFolder:
    """A folder for the socket that only we can enter, named after this process and locked by it.

    Making one removes those that killed processes of the same user have left.
    """

    def __init__(self) -> None:
        prefix = f"pipeline-{os.getpid()}-"
        self._path = Path(tempfile.mkdtemp(prefix=prefix))
        if len(self.socket) > _LONGEST_SOCKET_PATH:
            self._path.rmdir()
            self._path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
        self._lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        with contextlib.suppress(OSError):  # on a file system without locks nothing is ever taken for stale
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            _remove_stale(self._path.parent)

    @property
    def socket(self) -> str:
        return str(self._path / _SOCKET_NAME)

    def remove(self) -> None:
        _remove_folder(self._path, self._lock)
        os.close(self._lock)


def _remove_stale(folder: Path) -> None:
    """Whose process is gone by its number and by its lock: containers that share a folder do not share numbers."""
    for path in folder.glob("pipeline-*"):
        match = _OUR_FOLDER.match(path.name)
        if match is None or _is_alive(int(match[1])):
            continue
        # Opened first and asked then, so that what is removed is what was looked at, and no link is followed.
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove_folder(path, descriptor)
            finally:
                os.close(descriptor)


def _remove_folder(path: Path, descriptor: int) -> None:
    """The socket and the folder, if there is nothing else in it."""
    with contextlib.suppress(OSError):
        os.unlink(_SOCKET_NAME, dir_fd=descriptor)
    with contextlib.suppress(OSError):
        path.rmdir()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


class Connections:
    """The open connections to one engine, which can all be hung up; from then on there are no new ones."""

    def __init__(self, socket_path: str) -> None:
        self._socket = socket_path
        self._lock = threading.RLock()
        self._open: set[UnixConnection] = set()
        self._closed = False

    @contextlib.contextmanager
    def open(self) -> Generator[UnixConnection]:
        """A connection, for one request."""
        connection = UnixConnection(self._socket)
        # Under the lock: one that is made while the others are hung up would be missed.
        with self._lock:
            if self._closed:
                raise EngineStopped("the engine has been unloaded")
            try:
                connection.connect()
            except OSError as error:
                raise EngineStopped("the engine does not take connections") from error
            self._open.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def forget(self) -> None:
        """In a forked child: those that are open are the parent's."""
        self._lock = threading.RLock()
        self._open = set()

    def hang_up(self) -> None:
        with self._lock:
            self._closed = True
            for connection in list(self._open):
                connection.hang_up()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket; one request each, so that nothing of ours keeps the engine from stopping."""

    def __init__(self, path: str) -> None:
        super().__init__("engine")
        self._path = path
        self.is_cut = False

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)
        self._line = self.sock

    def hang_up(self) -> None:
        """Wake whoever is reading, from another thread."""
        self.is_cut = True
        line = getattr(self, "_line", None)
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def send(
    connection: UnixConnection, path: str, body: dict[str, Any], cancellation: Cancellation
) -> http.client.HTTPResponse:
    headers = {"content-type": "application/json", "connection": "close"}
    try:
        connection.request("POST", path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
        refusal = None if response.status == 200 else response.read()
    except (OSError, http.client.HTTPException) as error:
        cancellation.check()
        raise EngineStopped("the engine broke off the connection") from error
    if refusal is not None:
        raise refusal_of(json.loads(refusal or b"{}").get("error", {}), response.status)
    return response


def read_lines(
    connection: UnixConnection, response: http.client.HTTPResponse, cancellation: Cancellation
) -> Iterator[bytes]:
    failure: Exception | None = None
    try:
        while line := response.readline():
            yield line.rstrip(b"\r\n")
    except (OSError, ValueError, http.client.HTTPException) as error:
        failure = error
    # An answer that is cut short can look like one that is whole.
    if failure is not None or connection.is_cut:
        cancellation.check()
        raise EngineStopped("the engine broke off its answer") from failure


def refusal_of(error: dict[str, Any] | str, status: int = 500) -> EngineRefusal:
    if isinstance(error, str):
        return EngineRefusal(status, error)
    return EngineRefusal(int(error.get("code", status)), str(error.get("message", "the engine failed")))
