"""Several servers as one: work is spread, faults are survived, and only equal models are mixed."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest

from pipeline.api import AsyncClient, Client
from pipeline.api.fleet import LONGEST_REST_SECONDS, REST_SECONDS, Fleet
from pipeline.errors import ModelNotFound, ServerUnreachable
from tests.api.conftest import QUICK
from tests.embed_server import Behaviour, embed_server, vector_of

PULLING = replace(QUICK, pull_missing=True)


@contextmanager
def servers(*behaviours: Behaviour) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(embed_server(behaviour)) for behaviour in behaviours]


def embed_many(client: Client, count: int, *, threads: int = 4) -> list[np.ndarray]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda n: client.embed("all-minilm", [f"text {n}"]).matrix[0], range(count)))


def test_embedding_is_spread_and_equal_to_one_host() -> None:
    """Each host gets a share, none more at once than it may, and every row is what a single host gives."""
    behaviours = [Behaviour(delay=0.01), Behaviour(delay=0.01)]
    with servers(*behaviours) as urls, Client(",".join(urls), retry=QUICK, per_host=2) as client:
        rows = embed_many(client, 40, threads=8)
    for number, row in enumerate(rows):
        np.testing.assert_allclose(row, vector_of(f"text {number}", 384), rtol=1e-5)
    counts = [behaviour.count("/api/embed") for behaviour in behaviours]
    assert sum(counts) == 40
    assert min(counts) >= 10
    assert max(behaviour.most_in_flight for behaviour in behaviours) <= 2


def test_async_fleet() -> None:
    """The same for asyncio."""
    behaviours = [Behaviour(delay=0.01), Behaviour(delay=0.01)]

    async def work(urls: list[str]) -> list[np.ndarray]:
        async with AsyncClient(urls, retry=QUICK, per_host=2) as client:
            replies = await asyncio.gather(*(client.embed("all-minilm", [f"text {n}"]) for n in range(40)))
            return [reply.matrix[0] for reply in replies]

    with servers(*behaviours) as urls:
        rows = asyncio.run(work(urls))
    np.testing.assert_allclose(rows[7], vector_of("text 7", 384), rtol=1e-5)
    assert min(behaviour.count("/api/embed") for behaviour in behaviours) >= 10
    assert max(behaviour.most_in_flight for behaviour in behaviours) <= 2


def test_host_that_dies_is_replaced_at_once() -> None:
    """Requests under way on a host that goes away are made on another; nothing is lost and nobody waits."""
    behaviours = [Behaviour(die_after=3), Behaviour()]
    waits: list[float] = []
    with (
        servers(*behaviours) as urls,
        Client(urls, retry=QUICK, on_retry=lambda _attempt, delay, _error: waits.append(delay)) as client,
    ):
        rows = embed_many(client, 30)
    assert len(rows) == 30
    np.testing.assert_allclose(rows[29], vector_of("text 29", 384), rtol=1e-5)
    assert waits
    assert set(waits) == {0.0}
    assert behaviours[0].count("/api/embed") < 10


def test_dead_host_is_not_asked_while_the_other_is_busy() -> None:
    """With one host gone and the other at its limit, who finds no place waits for it."""
    behaviour = Behaviour(delay=0.02)
    with servers(Behaviour()) as urls:
        dead = urls[0]
    with embed_server(behaviour) as well, Client([dead, well], retry=QUICK, per_host=1) as client:
        rows = embed_many(client, 40, threads=8)
        asked = client.requests_sent
    assert len(rows) == 40
    assert behaviour.count("/api/embed") == 40
    assert asked < 40 + 20


def test_all_hosts_down_is_an_error() -> None:
    """When nobody answers, the last failure comes through after the attempts that the policy allows."""
    with servers(Behaviour(), Behaviour()) as urls:
        dead = list(urls)
    with Client(dead, retry=QUICK) as client, pytest.raises(ServerUnreachable):
        client.embed("all-minilm", ["a"])


def test_host_with_another_model_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Vectors of different weights never mix: the host whose digest differs gets no text, and a warning says so."""
    behaviours = [Behaviour(), Behaviour(digest="e" * 64)]
    with servers(*behaviours) as urls, Client(urls, retry=QUICK) as client:
        embed_many(client, 20)
    assert behaviours[0].count("/api/embed") == 20
    assert behaviours[1].texts == []
    assert "eeeeeeeeeeee" in caplog.text


def test_other_calls_go_to_the_first_host_that_is_well() -> None:
    """What is not spread stays on one host, and moves on when that one fails."""
    behaviours = [Behaviour(), Behaviour()]
    with servers(*behaviours) as urls, Client(urls, retry=QUICK) as client:
        for _ in range(3):
            client.version()
        assert behaviours[1].requests == []
    with servers(*behaviours) as urls:
        down, well = urls
    with embed_server(behaviours[1]) as well, Client([down, well], retry=QUICK) as client:
        assert client.version() == "0.33.0"


def test_missing_model_is_pulled_on_each_host() -> None:
    """Every host gets the model once, however many ask."""
    behaviours = [Behaviour(present=False), Behaviour(present=False)]
    with servers(*behaviours) as urls, Client(urls, retry=PULLING) as client:
        embed_many(client, 20)
    assert [behaviour.count("/api/pull") for behaviour in behaviours] == [1, 1]


def test_pull_is_off_unless_asked_for() -> None:
    """The plain client reports what is missing."""
    behaviour = Behaviour(present=False)
    with embed_server(behaviour) as url, Client(url, retry=QUICK) as client, pytest.raises(ModelNotFound):
        client.embed("all-minilm", ["a"])
    assert behaviour.count("/api/pull") == 0


def test_async_pull_is_made_once() -> None:
    """Many tasks that miss the model wait for one pull."""
    behaviour = Behaviour(present=False)
    seen: list[tuple[str, str]] = []

    async def work(url: str) -> None:
        async with AsyncClient(
            url, retry=PULLING, on_pull=lambda model, progress: seen.append((model, progress.status))
        ) as client:
            await asyncio.gather(*(client.embed("all-minilm", [str(n)]) for n in range(10)))

    with embed_server(behaviour) as url:
        asyncio.run(work(url))
    assert behaviour.count("/api/pull") == 1
    assert seen[-1] == ("all-minilm", "success")


def test_rest_grows_with_failures_and_ends_with_a_success() -> None:
    """Worked by hand: 5 s, 10 s, ... up to 60 s; one good reply and the host is first again."""
    fleet = Fleet(2)
    assert fleet.acquire(spread=False, model=None, tried=(), now=0.0) == 0
    fleet.release(0, failed=True, now=0.0)
    assert fleet.acquire(spread=False, model=None, tried=(), now=REST_SECONDS - 0.1) == 1
    assert fleet.acquire(spread=False, model=None, tried=(), now=REST_SECONDS) == 0
    fleet.release(0, failed=True, now=10.0)
    assert not fleet.another_is_well(tried=(1,), model=None, now=10.0 + 2 * REST_SECONDS - 0.1)
    assert fleet.another_is_well(tried=(1,), model=None, now=10.0 + 2 * REST_SECONDS)
    for _ in range(9):
        fleet.acquire(spread=False, model=None, tried=(1,), now=1e9)
        fleet.release(0, failed=True, now=100.0)
    assert fleet.another_is_well(tried=(1,), model=None, now=100.0 + LONGEST_REST_SECONDS)
    fleet.release(0, failed=False, now=100.0)
    assert fleet.acquire(spread=False, model=None, tried=(), now=100.0) == 0


def test_waiting_for_a_free_host_ends_when_one_is_free() -> None:
    """A thread beyond the limit waits, and goes on when another is done."""
    behaviour = Behaviour(delay=0.05)
    with embed_server(behaviour) as url, Client(url, retry=QUICK, per_host=1) as client:
        threads = [threading.Thread(target=client.embed, args=("all-minilm", ["a"])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert behaviour.count("/api/embed") == 4
    assert behaviour.most_in_flight == 1
