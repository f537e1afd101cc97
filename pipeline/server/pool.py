"""Which models are loaded: a request for a model comes in, a lease on a running engine goes out.

Models are loaded on demand and unloaded when nobody has used them for their keep-alive time, or when another
model needs the place. A leased engine is never unloaded. Who cannot be served at once waits, up to a limit.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import EngineError
from pipeline.server.engine import Engine, EnginePlan
from pipeline.server.exchange import Cancellation, Refusal
from pipeline.server.memory import available_memory, memory_text
from pipeline.server.settings import ServerSettings
from pipeline.server.stored_model import StoredModel

logger = logging.getLogger(__name__)

BUSY = "server busy, please try again.  maximum pending requests exceeded"
SHUTTING_DOWN = "the server is shutting down"

_LONGEST_PAUSE = 3600.0

Load = Callable[[Path, EnginePlan], Engine]


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A running engine and who uses it. Only the pool changes it, under its lock."""

    model: StoredModel
    engine: Engine
    keep_alive: float
    leases: int = 0
    expires_at: float = math.inf
    last_used: float = 0.0
    leaving: bool = False
    generating: int = 0


class Lease:
    """The right to use an engine until `release`, which may be called more than once."""

    def __init__(self, pool: EnginePool, loaded: Loaded) -> None:
        self._pool = pool
        self._loaded = loaded
        self._released = False
        self._has_turn = False

    @property
    def engine(self) -> Engine:
        return self._loaded.engine

    def wait_turn(self, cancellation: Cancellation) -> None:
        """Wait for a turn at generating with this engine; it ends with the lease."""
        self._pool.wait_turn(self._loaded, cancellation)
        self._has_turn = True

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._pool.release(self._loaded, end_turn=self._has_turn)


class EnginePool:
    """Thread-safe. Times are those of `time.monotonic`."""

    def __init__(self, settings: ServerSettings, *, load: Load = Engine) -> None:
        self._settings = settings
        self._load = load
        self._changed = threading.Condition()
        self._loaded: dict[Path, Loaded] = {}
        self._loading: set[Path] = set()
        self._unloading: set[Path] = set()
        self._waiting = 0
        self._closed = False
        self._timer: threading.Thread | None = None
        self._looks_again_at = math.inf

    def lease(
        self,
        model: StoredModel,
        plan: EnginePlan,
        *,
        keep_alive: float | None = None,
        cancellation: Cancellation,
    ) -> Lease:
        """A lease on `model` with at least the planned context, loading it (again) if need be."""
        seconds = self._settings.keep_alive if keep_alive is None else keep_alive
        key = model.model_path
        with self._changed:
            self._wait(lambda: self._ready(key, plan), cancellation)
            loaded = self._loaded.get(key)
            if loaded is not None:
                return self._take(loaded, seconds)
            self._loading.add(key)
        try:
            self._make_room(model, plan)
            engine = self._load(key, plan)
        except BaseException:
            with self._changed:
                self._loading.discard(key)
                self._changed.notify_all()
            raise
        with self._changed:
            self._loading.discard(key)
            loaded = Loaded(model=model, engine=engine, keep_alive=seconds)
            self._loaded[key] = loaded
            lease = self._take(loaded, seconds)
            self._start_timer()
            self._changed.notify_all()
            return lease

    def _make_room(self, model: StoredModel, plan: EnginePlan) -> None:
        """Unload what is idle until the model fits into the memory that there is.

        Raises EngineError when that is not enough: the system would end the process, or come to a standstill.
        """
        while True:
            available = available_memory()
            if available is None or plan.memory <= available:
                return
            with self._changed:
                idle = self._idle()
                if plan.memory > available + sum(other.engine.size for other in idle):
                    break
                self._unload(min(idle, key=lambda other: other.last_used))
        raise EngineError(
            f"model requires more system memory ({memory_text(plan.memory)}) than is available "
            f"({memory_text(available)})",
            hint=f"ask for a smaller context (num_ctx, now {plan.context}), unload other models, or use a smaller one "
            f"than {model.name}",
        )

    def wait_turn(self, loaded: Loaded, cancellation: Cancellation) -> None:
        """Wait until one more may generate with this engine."""
        with self._changed:
            self._wait(lambda: loaded.generating < loaded.engine.plan.parallel, cancellation)
            loaded.generating += 1

    def release(self, loaded: Loaded, *, end_turn: bool) -> None:
        with self._changed:
            if end_turn:
                loaded.generating -= 1
            loaded.leases -= 1
            loaded.last_used = time.monotonic()
            loaded.expires_at = loaded.last_used + loaded.keep_alive
            if loaded.leases == 0 and (loaded.keep_alive <= 0 or self._closed):
                self._unload(loaded)
            # Waking threads costs as much as many a request: only when somebody waits, or something expires sooner.
            if self._waiting or loaded.expires_at < self._looks_again_at:
                self._changed.notify_all()

    def unload(self, model: StoredModel) -> None:
        """Unload `model` now, or as soon as nobody uses it any more."""
        with self._changed:
            loaded = self._loaded.get(model.model_path)
            if loaded is None:
                return
            loaded.keep_alive = 0.0
            if loaded.leases == 0:
                self._unload(loaded)

    def running(self) -> list[tuple[StoredModel, Engine, float]]:
        """The loaded models with the seconds they have left, longest first."""
        with self._changed:
            now = time.monotonic()
            rows = [
                (loaded.model, loaded.engine, max(0.0, loaded.expires_at - now)) for loaded in self._loaded.values()
            ]
        return sorted(rows, key=lambda row: row[2], reverse=True)

    def close(self) -> None:
        """Unload everything; engines in use go when their last lease ends. No more leases are given."""
        with self._changed:
            self._closed = True
            while idle := self._idle():
                self._unload(idle[0])
            self._changed.notify_all()

    # Everything below is called with the lock held.

    def _take(self, loaded: Loaded, keep_alive: float) -> Lease:
        loaded.leases += 1
        loaded.keep_alive = keep_alive
        loaded.last_used = time.monotonic()
        loaded.expires_at = loaded.last_used + keep_alive
        return Lease(self, loaded)

    def _ready(self, key: Path, plan: EnginePlan) -> bool:
        """True when the model is there with enough context, or when the way is free to load it now."""
        if self._closed:
            raise Refusal(503, SHUTTING_DOWN)
        if key in self._loading or key in self._unloading:
            return False
        loaded = self._loaded.get(key)
        if loaded is not None:
            present = loaded.engine.plan
            if not loaded.leaving and present.context >= plan.context and present.template == plan.template:
                return True
            loaded.leaving = True  # no new leases, or a busy model would never be loaded again
            if loaded.leases > 0:
                return False
            self._unload(loaded)
            return self._ready(key, plan)
        if len(self._loaded) + len(self._loading) + len(self._unloading) < self._settings.max_loaded_models:
            return True
        idle = self._idle()
        if not idle or self._unloading:
            return False
        self._unload(min(idle, key=lambda other: other.last_used))
        return self._ready(key, plan)

    def _idle(self) -> list[Loaded]:
        return [loaded for loaded in self._loaded.values() if loaded.leases == 0]

    def _wait(self, ready: Callable[[], bool], cancellation: Cancellation) -> None:
        if ready():
            return
        if self._waiting >= self._settings.max_queue:
            raise Refusal(503, BUSY)
        self._waiting += 1
        try:
            with cancellation.watch(self._wake):
                while True:
                    cancellation.check()
                    if ready():
                        return
                    self._changed.wait()
        finally:
            self._waiting -= 1

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _unload(self, loaded: Loaded) -> None:
        """Lets go of the lock until the engine has ended: whatever was known before has to be looked at again."""
        key = loaded.model.model_path
        del self._loaded[key]
        self._unloading.add(key)
        self._changed.release()
        try:
            loaded.engine.close(at_once=self._closed)
        finally:
            self._changed.acquire()
            self._unloading.discard(key)
            self._changed.notify_all()
        logger.debug("unloaded %s", loaded.model.name)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = threading.Thread(target=self._expire, name="model-expiry", daemon=True)
            self._timer.start()

    def _expire(self) -> None:
        """Unload what has expired, until nothing is loaded any more."""
        with self._changed:
            while self._loaded and not self._closed:
                first = min(self._idle(), key=lambda loaded: loaded.expires_at, default=None)
                pause = math.inf if first is None else first.expires_at - time.monotonic()
                if first is not None and pause <= 0:
                    self._unload(first)
                    continue
                pause = min(pause, _LONGEST_PAUSE)
                self._looks_again_at = math.inf if first is None else time.monotonic() + pause
                self._changed.wait(None if first is None else max(0.0, pause))
            self._timer = None
