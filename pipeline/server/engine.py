"""llama.cpp in this process, through xllamacpp: a GGUF file comes in; tokens, vectors and text events go out.

This is the only file that knows xllamacpp. One `Engine` is one loaded model. The engine opens no TCP port: it
listens on a Unix socket in a private folder, and what must be cancellable is asked through that socket, since
hanging up is the one cancel the engine obeys at any moment, also while it still reads the prompt.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import socket
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import EngineError, MissingExtra
from pipeline.server.exchange import Cancellation
from pipeline.server.machine import check_machine

_SOCKET_NAME = "e.sock"  # the engine knows a socket by this ending
_LONGEST_SOCKET_PATH = 100
_LARGEST_BATCH = 512
_SLOTS = 16
_SLOT_BUDGET = 8192
_LOADING = threading.Lock()
"""The engine sets process-wide state while it loads, so models load one after the other."""


class EngineRefusal(EngineError):
    """The engine answered with an error: `status` and its own words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class EngineStopped(EngineError):
    """The connection to the engine broke in mid-answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlan:
    """How to load a model: the context of one request in tokens, whether it makes vectors or text.

    `quantized` says that the weights have less than 16 bits.
    """

    context: int
    embedding: bool
    threads: int
    quantized: bool = False


class Engine:
    """One loaded model. Its methods may be called from any thread; `close` only when nothing runs."""

    def __init__(self, path: Path, plan: EnginePlan) -> None:
        library = _library()
        self.path = path
        self.plan = plan
        self.size = path.stat().st_size
        self._folder = _private_folder()
        self._socket = str(self._folder / _SOCKET_NAME)
        try:
            with _LOADING:
                server = library.Server(_parameters(library, path, plan, self._socket))
        except RuntimeError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise EngineError(
                f"unable to load model: {path}",
                hint="the file is damaged, cut short, or of a kind this engine does not know: pull the model again",
            ) from error
        self._holder: list[Any] = [server]
        self._finalizer = weakref.finalize(self, _release, self._holder, self._folder)
        self._await_loop()

    def close(self) -> None:
        """Give the memory back. Waits for the engine's own threads."""
        self._finalizer()

    def tokenize(self, text: str, *, with_special: bool = False) -> list[int]:
        answer = self._ask("/tokenize", {"content": text, "add_special": with_special})
        return answer["tokens"]

    def detokenize(self, tokens: Sequence[int]) -> str:
        return self._ask("/detokenize", {"tokens": list(tokens)})["content"]

    def apply_template(self, body: dict[str, Any]) -> str:
        """The prompt that the model's own chat template makes of `messages` (and `tools`)."""
        return self._ask("/apply-template", body)["prompt"]

    def embed(
        self, inputs: Sequence[str | list[int]], cancellation: Cancellation
    ) -> tuple[npt.NDArray[np.float32], int]:
        """One L2-normalised row for each input, in order, and the number of tokens read.

        Setting the cancellation hangs up and ends the wait; the engine still works through what it was given.
        """
        answer = self._ask("/v1/embeddings", {"input": list(inputs), "encoding_format": "base64"}, cancellation)
        rows = sorted(answer["data"], key=lambda row: row["index"])
        if len(rows) != len(inputs):
            raise EngineError(f"the engine returned {len(rows)} vectors for {len(inputs)} texts")
        vectors = np.frombuffer(b"".join(base64.b64decode(row["embedding"]) for row in rows), np.float32)
        return vectors.reshape(len(rows), -1), answer["usage"]["prompt_tokens"]

    def stream(self, path: str, body: dict[str, Any], cancellation: Cancellation) -> EngineStream:
        """Start a generation.

        The prompt has been read when this returns, so an error of the engine comes from here and not from
        reading the stream. Setting the cancellation hangs up, which ends the generation.
        """
        return EngineStream(_UnixConnection(self._socket), path, {**body, "stream": True}, cancellation)

    def _await_loop(self) -> None:
        """Returns when the engine's loop runs: told to end before that, it would miss the word and run for ever.

        The metrics are counted inside the loop, so an answer shows that it has begun.
        """
        with contextlib.closing(_UnixConnection(self._socket)) as connection:
            connection.request("GET", "/metrics", headers={"connection": "close"})
            connection.getresponse().read()

    def _ask(self, path: str, body: dict[str, Any], cancellation: Cancellation | None = None) -> dict[str, Any]:
        cancellation = cancellation or Cancellation()
        with contextlib.closing(_UnixConnection(self._socket)) as connection, cancellation.watch(connection.hang_up):
            response = _open(connection, path, body, cancellation)
            return json.loads(b"".join(_lines(response, cancellation)))


class EngineStream:
    """The events of one generation, as they are made. Close it, read to its end or not."""

    def __init__(
        self, connection: _UnixConnection, path: str, body: dict[str, Any], cancellation: Cancellation
    ) -> None:
        self._cancellation = cancellation
        self._held = contextlib.ExitStack()
        self._held.callback(connection.close)
        try:
            self._held.enter_context(cancellation.watch(connection.hang_up))
            self._response = _open(connection, path, body, cancellation)
            self._held.callback(self._response.close)
        except BaseException:
            self._held.close()
            raise

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in _lines(self._response, self._cancellation):
            if not line.startswith(b"data: ") or line == b"data: [DONE]":
                continue
            event: dict[str, Any] = json.loads(line[6:])
            if "error" in event:
                raise _refusal(event["error"])
            yield event
        self._cancellation.check()

    def close(self) -> None:
        self._held.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket; one request each, so that nothing of ours keeps the engine from stopping."""

    def __init__(self, path: str) -> None:
        super().__init__("engine")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)
        self._line = self.sock

    def hang_up(self) -> None:
        """Wake whoever is reading, from another thread."""
        line = getattr(self, "_line", None)
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def _open(
    connection: _UnixConnection, path: str, body: dict[str, Any], cancellation: Cancellation
) -> http.client.HTTPResponse:
    headers = {"content-type": "application/json", "connection": "close"}
    try:
        connection.connect()
        cancellation.check()
        connection.request("POST", path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        cancellation.check()
        raise EngineStopped("the engine broke off the connection") from error
    if response.status != 200:
        raise _refusal(json.loads(response.read() or b"{}").get("error", {}), response.status)
    return response


def _lines(response: http.client.HTTPResponse, cancellation: Cancellation) -> Iterator[bytes]:
    try:
        while line := response.readline():
            yield line.rstrip(b"\r\n")
    except (OSError, ValueError, http.client.HTTPException) as error:
        cancellation.check()
        raise EngineStopped("the engine broke off its answer") from error


def _refusal(error: dict[str, Any] | str, status: int = 500) -> EngineRefusal:
    if isinstance(error, str):
        return EngineRefusal(status, error)
    return EngineRefusal(int(error.get("code", status)), str(error.get("message", "the engine failed")))


def _library() -> Any:
    check_machine()
    # Its threads spin at every barrier. On a busy machine that costs most of the speed: spin briefly.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import xllamacpp  # noqa: PLC0415  an optional, heavy dependency
    except ImportError as error:
        raise MissingExtra("The embedded server's engine (xllamacpp)", extra="embedded") from error
    return xllamacpp


def _parameters(library: Any, path: Path, plan: EnginePlan, socket_path: str) -> Any:
    parameters = library.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames = [socket_path]
    parameters.n_threads_http = 8
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.endpoint_props = False
    parameters.endpoint_metrics = True
    parameters.cache_ram_mib = 0
    parameters.verbosity = -1
    parameters.warmup = False
    parameters.cpuparams.n_threads = plan.threads
    parameters.cpuparams_batch.n_threads = plan.threads
    slots = _slots(plan)
    parameters.embedding = plan.embedding
    parameters.n_parallel = slots
    parameters.n_ctx = plan.context * slots
    if plan.embedding:
        # Texts of any length share the slots' memory, and a text must fit one batch: it is read in one go.
        parameters.kv_unified = True
        if plan.quantized:
            # Flash attention makes a text's vector depend on its neighbours in the batch; with 16-bit weights
            # by 1e-4, but with 8-bit ones by 5e-3. Without it a text has one vector.
            parameters.flash_attn_type = library.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.n_batch = parameters.n_ubatch = max(_LARGEST_BATCH, plan.context)
    else:
        parameters.n_batch = parameters.n_ubatch = _LARGEST_BATCH
    return parameters


def _slots(plan: EnginePlan) -> int:
    """A power of two: the engine aborts the process on some other numbers of slots."""
    if not plan.embedding:
        return 1
    slots = _SLOTS
    while slots > 1 and slots * plan.context > _SLOT_BUDGET:
        slots //= 2
    return slots


def _private_folder() -> Path:
    """A folder for the socket that only we can enter; socket paths must be short."""
    folder = tempfile.mkdtemp(prefix="pipeline-")
    if len(folder) + 1 + len(_SOCKET_NAME) > _LONGEST_SOCKET_PATH:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="pipeline-", dir="/tmp")
    return Path(folder)


def _release(holder: list[Any], folder: Path) -> None:
    holder.clear()
    shutil.rmtree(folder, ignore_errors=True)
