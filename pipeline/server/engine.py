"""llama.cpp in this process, through xllamacpp: a GGUF file comes in; tokens, vectors and text events go out.

This is the only file that knows xllamacpp. One `Engine` is one loaded model. The engine opens no TCP port: it
listens on a Unix socket in a private folder, and what must be cancellable is asked through that socket, since
hanging up is the one cancel the engine obeys at any moment, also while it still reads the prompt.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import ctypes
import http.client
import json
import os
import re
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import EngineError, MissingExtra
from pipeline.interrupts import interrupts_deferred
from pipeline.server.engine_socket import (
    Connections,
    EngineStopped,
    PrivateFolder,
    UnixConnection,
    read_lines,
    refusal_of,
    send,
)
from pipeline.server.exchange import Cancellation
from pipeline.server.machine import check_machine
from pipeline.server.templates import TemplateError, parse_template

_LEAST_BATCH = 512
_PROMPT_BATCH = 128
"""Tokens of a prompt that are read at one go, and cannot be broken off: three seconds of a model of 1.5 billion weights
on two cores. With 512 a prompt is read no faster, with 64 a tenth slower (measured)."""
_SLOTS = 16
_SLOT_BUDGET = 8192
_AS_IT_IS = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
_IDLE_POLL_SECONDS = 0.05
_loading = threading.Lock()
"""The engine sets process-wide state while it loads, so models load one after the other."""
_running: set[_Running] = set()
_exiting = threading.Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlan:
    """How to load a model: the context of one request in tokens, whether it makes vectors or text.

    `quantized` says that the weights have less than 16 bits. `template` is a Go template for conversations, where that
    of the file is not used. `parallel` texts may be written at once. `memory` is what all this takes, in bytes.
    """

    context: int
    embedding: bool
    threads: int
    quantized: bool = False
    template: str = ""
    parallel: int = 1
    memory: int = 0


class Engine:
    """One loaded model. Its methods may be called from any thread."""

    def __init__(self, path: Path, plan: EnginePlan) -> None:
        library = _library()
        self.path = path
        self.plan = plan
        self.size = max(plan.memory, path.stat().st_size)
        # An interrupt right after the loading would let go of an engine that nobody knows yet.
        with _loading, interrupts_deferred():
            if _exiting.is_set():
                raise EngineStopped("the program is ending")
            self._native = _Running(library, path, plan)
            _running.add(self._native)
        self._connections = self._native.connections
        # At exit all engines end in one place, which also waits for those that end already.
        weakref.finalize(self, self._native.end, at_once=True).atexit = False

    def close(self, *, at_once: bool = False) -> None:
        """Hang up on whoever is served, let no one else in, and give the memory back. May be called again.

        The engine finishes what it was given, while other threads go on; with `at_once` only the batch that it has
        begun, while the whole process stands still.
        """
        self._native.end(at_once=at_once)

    def tokenize(self, text: str, *, with_special: bool = False) -> list[int]:
        answer = self._ask("/tokenize", {"content": text, "add_special": with_special})
        return answer["tokens"]

    def detokenize(self, tokens: Sequence[int]) -> str:
        return self._ask("/detokenize", {"tokens": list(tokens)})["content"]

    def apply_template(self, body: dict[str, Any]) -> str:
        """The prompt that the model's own chat template makes of `messages` (and `tools`)."""
        return self._ask("/apply-template", self._rendered(body))["prompt"]

    def _rendered(self, body: dict[str, Any]) -> dict[str, Any]:
        """With a template of its own, the engine gets a conversation as the one text that it takes as it is."""
        if not self.plan.template or "messages" not in body:
            return body
        try:
            text = parse_template(self.plan.template).prompt(body["messages"])
        except TemplateError as error:
            raise EngineError(
                f"template error: {error}", hint="create the model again with another template"
            ) from error
        return {**body, "messages": [{"role": "user", "content": text}]}

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
        return EngineStream(self._connections, path, {**self._rendered(body), "stream": True}, cancellation)

    def _ask(self, path: str, body: dict[str, Any], cancellation: Cancellation | None = None) -> dict[str, Any]:
        cancellation = cancellation or Cancellation()
        with self._connections.open() as connection, cancellation.watch(connection.hang_up):
            response = send(connection, path, body, cancellation)
            return json.loads(b"".join(read_lines(connection, response, cancellation)))


class EngineStream:
    """The events of one generation, as they are made. Close it, read to its end or not."""

    def __init__(self, connections: Connections, path: str, body: dict[str, Any], cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        with contextlib.ExitStack() as held:
            self._connection = held.enter_context(connections.open())
            held.enter_context(cancellation.watch(self._connection.hang_up))
            self._response = send(self._connection, path, body, cancellation)
            held.callback(self._response.close)
            self._held = held.pop_all()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in read_lines(self._connection, self._response, self._cancellation):
            if not line.startswith(b"data: ") or line == b"data: [DONE]":
                continue
            event: dict[str, Any] = json.loads(line[6:])
            if "error" in event:
                raise refusal_of(event["error"])
            yield event

    def close(self) -> None:
        self._held.close()


class _Running:
    """The engine itself: starts when it is made, and ends once.

    It must be told to end only when its loop has begun, or it would miss the word, and only when nobody waits for an
    answer: it waits for those who wait for it, for ever.
    """

    def __init__(self, library: Any, path: Path, plan: EnginePlan) -> None:
        self._ending = threading.RLock()
        self._folder = PrivateFolder()
        self.connections = Connections(self._folder.socket)
        try:
            self._server: Any = library.Server(_parameters(library, path, plan, self._folder.socket))
        except BaseException as error:
            self._folder.remove()
            if not isinstance(error, RuntimeError):
                raise
            raise EngineError(
                f"unable to load model: {path}",
                hint="the file is damaged, cut short, or of a kind this engine does not know: pull the model again",
            ) from error

    def end(self, *, at_once: bool = False) -> None:
        """Returns when the engine has ended, whoever ends it.

        With `at_once` it finishes no more than the batch that it has begun: quicker, but then the whole process stands
        still until it has ended.
        """
        with self._ending:
            if self._server is None:
                return
            self.connections.hang_up()
            while self._tasks() and not (at_once or _exiting.is_set()):
                time.sleep(_IDLE_POLL_SECONDS)
            try:
                self._server = None
            finally:  # this is where a Ctrl-C of the meantime is raised
                self._folder.remove()
                _running.discard(self)

    def forget(self) -> None:
        """In a forked child: the engine's threads are the parent's, so nothing here may end it or wait for it.

        The child can still ask it, through the socket, for as long as the parent keeps it.
        """
        self._ending = threading.RLock()  # whoever held it is not here
        self.connections.forget()
        if self._server is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._server))  # its destructor would wait for ever
            self._server = None

    def _tasks(self) -> int:
        """What the engine has to do yet. It is counted inside the loop, so an answer shows that the loop has begun."""
        try:
            with contextlib.closing(UnixConnection(self._folder.socket)) as connection:
                connection.request("GET", "/metrics", headers={"connection": "close"})
                gauges = re.findall(rb"^llamacpp:requests_\w+ (\d+)", connection.getresponse().read(), re.MULTILINE)
        except (OSError, http.client.HTTPException):
            return 0  # a cleaner of temporary files has taken the socket: nobody can reach this engine any more
        return sum(map(int, gauges))


@atexit.register
def _end_all() -> None:
    """Ends the engines before the interpreter does: a native thread that outlives it may crash the process.

    Threads that still ask an engine get an error. One more Ctrl-C would only cut this short.
    """
    if "xllamacpp" in sys.modules and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with _loading:
        _exiting.set()
    for running in list(_running):
        running.connections.hang_up()
    for running in list(_running):
        running.end(at_once=True)


def _forget_all() -> None:
    """What a forked child must do to end by itself: the engines' threads are not in it."""
    global _loading  # noqa: PLW0603  whoever holds it is not in this process
    if "xllamacpp" not in sys.modules:
        return
    _loading = threading.Lock()
    for running in list(_running):
        running.forget()
    _running.clear()
    # The library's own last words would wait for those threads: the child's end passes over them.
    with contextlib.suppress(AttributeError):  # not every C library has this
        standard = ctypes.CDLL(None)
        standard.on_exit(standard._exit, None)


os.register_at_fork(after_in_child=_forget_all)


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
    slots = slots_of(plan)
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
        parameters.n_batch = parameters.n_ubatch = max(_LEAST_BATCH, plan.context)
    else:
        parameters.n_batch = parameters.n_ubatch = _PROMPT_BATCH
        if plan.template:
            parameters.chat_template = _AS_IT_IS
    return parameters


def slots_of(plan: EnginePlan) -> int:
    """A power of two: the engine aborts the process on some other numbers of slots."""
    if not plan.embedding:
        return 1 << (plan.parallel - 1).bit_length()
    slots = _SLOTS
    while slots > 1 and slots * plan.context > _SLOT_BUDGET:
        slots //= 2
    return slots
