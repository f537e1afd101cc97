"""Which models are loaded, with engines that only pretend."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.errors import EngineError
from pipeline.server.engine import Engine, EnginePlan
from pipeline.server.exchange import Cancellation, Refusal, RequestCanceled
from pipeline.server.pool import EnginePool, Lease
from pipeline.server.settings import ServerSettings
from pipeline.server.stored_model import ModelDetails, StoredModel


class FakeEngine:
    def __init__(self, path: Path, plan: EnginePlan) -> None:
        if path.name == "broken":
            raise EngineError("unable to load model: broken")
        time.sleep(0.01)
        self.path, self.plan, self.size, self.closed, self.at_once = path, plan, 1, False, False
        self.may_end = threading.Event()
        if not path.name.startswith("slow"):
            self.may_end.set()

    def close(self, *, at_once: bool = False) -> None:
        self.at_once = at_once
        assert self.may_end.wait(30)
        self.closed = True


def stored(name: str) -> StoredModel:
    details = ModelDetails(family="f", families=("f",), format="gguf", parameter_size="", quantization_level="")
    return StoredModel(
        name=name,
        digest=name,
        size=1,
        modified_at=datetime.now(UTC),
        model_path=Path(name),
        template=None,
        system=None,
        parameters={},
        license=None,
        details=details,
    )


class Pool:
    """A pool of pretended engines, with the arguments that do not matter filled in."""

    def __init__(self, **settings: Any) -> None:
        self.pool = EnginePool(ServerSettings(**settings), load=cast("Any", FakeEngine))

    def lease(
        self,
        name: str,
        *,
        context: int = 10,
        keep_alive: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Lease:
        plan = EnginePlan(context=context, embedding=False, threads=1)
        return self.pool.lease(stored(name), plan, keep_alive=keep_alive, cancellation=cancellation or Cancellation())

    @property
    def names(self) -> set[str]:
        return {model.name for model, _, _ in self.pool.running()}


def closed(engine: Engine) -> bool:
    return cast("FakeEngine", engine).closed


def soon(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_model_is_loaded_once() -> None:
    """Ten threads that want the same model share one engine."""
    pool = Pool()
    engines: list[Engine] = []

    def use() -> None:
        lease = pool.lease("a")
        engines.append(lease.engine)
        lease.release()

    threads = [threading.Thread(target=use) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(engine) for engine in engines}) == 1


def test_the_least_recently_used_idle_model_makes_room() -> None:
    """A model in use stays, whoever needs its place."""
    pool = Pool(max_loaded_models=2)
    busy = pool.lease("busy")
    pool.lease("idle").release()
    pool.lease("new").release()
    assert pool.names == {"busy", "new"}
    assert not closed(busy.engine)
    busy.release()


def test_who_finds_no_place_waits_for_one() -> None:
    """With all places in use the next model is loaded when one is free again."""
    pool = Pool(max_loaded_models=1)
    first = pool.lease("a")
    got: list[Lease] = []
    thread = threading.Thread(target=lambda: got.append(pool.lease("b")))
    thread.start()
    time.sleep(0.05)
    assert not got
    first.release()
    thread.join(5)
    assert pool.names == {"b"}


def test_keep_alive_runs_out() -> None:
    """An idle model goes after its time, and the timer's thread with the last one."""
    pool = Pool()
    lease = pool.lease("a", keep_alive=0.05)
    time.sleep(0.1)
    assert pool.names == {"a"}, "a model in use does not expire"
    lease.release()
    soon(lambda: not pool.names)
    assert closed(lease.engine)


def test_more_context_loads_again_after_the_last_user() -> None:
    """The old engine is closed before the new one is loaded, and never under a user."""
    pool = Pool()
    first = pool.lease("a", context=10)
    got: list[Lease] = []
    thread = threading.Thread(target=lambda: got.append(pool.lease("a", context=20)))
    thread.start()
    time.sleep(0.05)
    assert not got
    assert not closed(first.engine)
    first.release()
    thread.join(5)
    assert closed(first.engine)
    assert got[0].engine.plan.context == 20


def test_full_queue_refuses() -> None:
    """Who would wait beyond the limit is told that the server is busy."""
    pool = Pool(max_loaded_models=1, max_queue=0)
    first = pool.lease("a")
    with pytest.raises(Refusal, match="server busy, please try again") as caught:
        pool.lease("b")
    assert caught.value.status == 503
    first.release()


def test_turns_are_taken_one_by_one() -> None:
    """Two requests may hold one engine, but they generate one after the other."""
    pool = Pool()
    first, second = pool.lease("a"), pool.lease("a")
    first.wait_turn(Cancellation())
    done = threading.Event()
    thread = threading.Thread(target=lambda: (second.wait_turn(Cancellation()), done.set()))
    thread.start()
    assert not done.wait(0.05)
    first.release()
    assert done.wait(5)
    thread.join()
    second.release()
    second.release()


def test_cancelled_while_waiting() -> None:
    """A client that goes away leaves the queue at once."""
    pool = Pool(max_loaded_models=1)
    first = pool.lease("a")
    cancellation = Cancellation()
    threading.Timer(0.05, cancellation.set).start()
    with pytest.raises(RequestCanceled):
        pool.lease("b", cancellation=cancellation)
    first.release()
    pool.lease("b").release()


def test_failure_to_load_leaves_the_pool_usable() -> None:
    """The error reaches the caller; the next request tries again."""
    pool = Pool(max_loaded_models=1)
    for _ in range(2):
        with pytest.raises(EngineError, match="unable to load model"):
            pool.lease("broken")
    pool.lease("a").release()
    assert pool.names == {"a"}


def test_model_that_is_slow_to_go_holds_up_nobody_else() -> None:
    """While an engine finishes its work others are served; who wants its model waits until it has gone."""
    pool = Pool()
    first = pool.lease("slow", keep_alive=0)
    engine = cast("FakeEngine", first.engine)
    leaving = threading.Thread(target=first.release)
    leaving.start()
    soon(lambda: not pool.names)
    pool.lease("other").release()
    got: list[Lease] = []
    again = threading.Thread(target=lambda: got.append(pool.lease("slow")))
    again.start()
    time.sleep(0.05)
    assert not got
    engine.may_end.set()
    again.join(30)
    leaving.join(30)
    assert engine.closed
    assert got[0].engine is not engine
    assert pool.names == {"other", "slow"}


def test_only_one_model_makes_room_for_one() -> None:
    """Two who want the same model while the first idle one is still on its way out do not drive out a second."""
    pool = Pool(max_loaded_models=2)
    oldest = pool.lease("slow oldest")
    oldest.release()
    pool.lease("idle").release()
    threads = [threading.Thread(target=lambda: pool.lease("new").release()) for _ in range(2)]
    for thread in threads:
        thread.start()
    soon(lambda: "slow oldest" not in pool.names)
    time.sleep(0.05)
    assert pool.names == {"idle"}
    cast("FakeEngine", oldest.engine).may_end.set()
    for thread in threads:
        thread.join(30)
    assert pool.names == {"idle", "new"}


def test_closing_waits_for_users() -> None:
    """Idle engines go at once, one in use goes with its last lease, and no more are given."""
    pool = Pool()
    busy = pool.lease("busy")
    pool.lease("idle").release()
    pool.pool.close()
    assert pool.names == {"busy"}
    busy.release()
    assert closed(busy.engine)
    assert cast("FakeEngine", busy.engine).at_once, "nobody is left who could be held up"
    with pytest.raises(Refusal, match="shutting down"):
        pool.lease("a")
