"""The in-process transports: streaming as it comes, cancelling, time limits, asyncio."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import httpx
import pytest

from pipeline.server import App, AsyncInProcessTransport, InProcessTransport, ModelStore
from pipeline.server.engine import Engine
from pipeline.server.exchange import Reply, Request, json_reply, ndjson_reply
from tests.server.conftest import CHAT, EMBED, short_wait

COUNT = {"model": CHAT, "prompt": "1 2 3 4", "raw": True, "options": {"num_predict": 3000, "temperature": 0}}


def run(app: App, work: Any) -> Any:
    async def main() -> Any:
        async with httpx.AsyncClient(
            transport=AsyncInProcessTransport(app), base_url="http://embedded", timeout=60
        ) as client:
            return await work(client)

    return asyncio.run(main())


def is_free(app: App) -> bool:
    """Whether the engine answers a short request long before a long answer could have ended."""
    with httpx.Client(transport=InProcessTransport(app), base_url="http://embedded", timeout=60) as client:
        started = time.perf_counter()
        client.post("/api/generate", json={**COUNT, "stream": False, "options": {"num_predict": 1}})
        waited = time.perf_counter() - started
        return waited < short_wait(client)


def test_lines_come_as_they_are_made(app: App) -> None:
    """The first line is here long before the last one could be."""
    with httpx.Client(transport=InProcessTransport(app), base_url="http://embedded", timeout=60) as client:
        started = time.perf_counter()
        with client.stream("POST", "/api/generate", json=COUNT) as response:
            next(response.iter_lines())
            waited = time.perf_counter() - started
        assert waited < short_wait(client)
    assert is_free(app)


def test_async_requests_run_side_by_side(app: App) -> None:
    """Many requests of one event loop are answered in order of their asking."""

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        bodies = [{"model": EMBED, "input": f"text {number}"} for number in range(8)]
        return await asyncio.gather(*(client.post("/api/embed", json=body) for body in bodies))

    assert [reply.status_code for reply in run(app, work)] == [200] * 8


def test_async_stream_closed_early(app: App) -> None:
    """Leaving the stream cancels the generation."""

    async def work(client: httpx.AsyncClient) -> str:
        async with client.stream("POST", "/api/generate", json=COUNT) as response:
            async for line in response.aiter_lines():
                return line
        return ""

    assert '"response"' in run(app, work)
    assert is_free(app)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_async_request_cancelled(app: App, stream: bool) -> None:
    """A task that is cancelled while it waits for the engine frees it."""

    async def work(client: httpx.AsyncClient) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await client.post("/api/generate", json={**COUNT, "stream": stream})

    run(app, work)
    assert is_free(app)


def test_cancelled_while_the_prompt_is_read(app: App) -> None:
    """Hanging up ends the work also before the first token."""
    body = {**COUNT, "prompt": "word " * 3900}

    async def work(client: httpx.AsyncClient) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.post("/api/generate", json=body)

    run(app, work)
    assert is_free(app)


TEXTS = [f"text {number} " + "word " * 150 for number in range(640)]
"""What the engine reads for many seconds, sixteen at a time."""


class Pieces:
    """An app that sends one piece and then no more, until its client has gone."""

    def __init__(self) -> None:
        self.finished = threading.Event()

    def handle(self, request: Request) -> Reply:
        gone = threading.Event()

        def lines() -> Iterator[dict[str, Any]]:
            yield {"response": "one"}
            with request.cancellation.watch(gone.set):
                gone.wait(30)
            request.cancellation.check()

        return ndjson_reply(lines(), cancellation=request.cancellation, describe=str, finish=self.finished.set)


class Late:
    """An app whose work cannot be broken off, as the loading of a model cannot."""

    def __init__(self, reply: Callable[[Request], Reply]) -> None:
        self.reply = reply
        self.may_end = threading.Event()

    def handle(self, request: Request) -> Reply:
        self.may_end.wait(30)
        return self.reply(request)


def ask(app: Any, kind: str, body: Any, *, limit: float, got: list[bytes] | None = None) -> list[bytes]:
    """The pieces of a reply, by either transport, with a limit of time to wait for each; also put into `got`."""
    arguments: dict[str, Any] = {"base_url": "http://embedded", "timeout": limit}
    pieces: list[bytes] = [] if got is None else got
    if kind == "sync":
        with httpx.Client(transport=InProcessTransport(app), **arguments) as client:
            with client.stream("POST", "/api/embed", json=body) as response:
                pieces.extend(response.iter_raw())
        return pieces

    async def work() -> None:
        async with httpx.AsyncClient(transport=AsyncInProcessTransport(app), **arguments) as client:
            async with client.stream("POST", "/api/embed", json=body) as response:
                async for piece in response.aiter_raw():
                    pieces.append(piece)

    asyncio.run(work())
    return pieces


def ends(thread_count: int) -> bool:
    """Whether the number of threads falls back to what it was."""
    deadline = time.monotonic() + 10
    while threading.active_count() > thread_count and time.monotonic() < deadline:
        time.sleep(0.01)
    return threading.active_count() <= thread_count


KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


@KINDS
def test_reply_that_takes_too_long_is_a_time_out(app: App, kind: str) -> None:
    """The wait ends when the time is up, and the work soon after: the engine is free and no thread is left behind."""
    ask(app, kind, {"model": EMBED, "input": TEXTS[:1]}, limit=60)
    started = time.perf_counter()
    ask(app, kind, {"model": EMBED, "input": TEXTS[:16]}, limit=60)
    batch = time.perf_counter() - started
    threads = threading.active_count()
    started = time.perf_counter()
    with pytest.raises(httpx.ReadTimeout):
        ask(app, kind, {"model": EMBED, "input": TEXTS}, limit=0.5)
    waited = time.perf_counter() - started
    assert 0.5 <= waited < 1 + 10 * batch
    ask(app, kind, {"model": EMBED, "input": TEXTS[:1]}, limit=60)
    assert time.perf_counter() - started < 1 + 20 * batch
    assert ends(threads)


@KINDS
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_time_out_does_not_wait_for_work_that_cannot_be_broken_off(kind: str, streamed: bool) -> None:
    """The caller goes on at once; the reply that comes later is closed, and its thread ends."""
    pieces = Pieces()
    late = Late(pieces.handle if streamed else lambda request: json_reply({}))
    threads = threading.active_count()
    started = time.perf_counter()
    with pytest.raises(httpx.ReadTimeout):
        ask(late, kind, {}, limit=0.1)
    assert 0.1 <= time.perf_counter() - started < 5
    late.may_end.set()
    assert ends(threads)
    if streamed:
        assert pieces.finished.wait(5)


@KINDS
def test_stream_that_stalls_is_a_time_out(kind: str) -> None:
    """The limit holds for each piece: the first one comes, the missing second one ends the wait and the work."""
    pieces = Pieces()
    got: list[bytes] = []
    threads = threading.active_count()
    started = time.perf_counter()
    with pytest.raises(httpx.ReadTimeout):
        ask(pieces, kind, {}, limit=0.2, got=got)
    assert 0.2 <= time.perf_counter() - started < 5
    assert got == [b'{"response":"one"}\n']
    assert pieces.finished.wait(5)
    assert ends(threads)


@KINDS
def test_limit_is_for_each_piece_and_not_for_the_whole(kind: str) -> None:
    """A stream may take longer than the limit as long as something comes."""

    class Slow:
        def handle(self, request: Request) -> Reply:
            def lines() -> Iterator[dict[str, Any]]:
                for number in range(5):
                    time.sleep(0.15)
                    yield {"number": number}

            return ndjson_reply(lines(), cancellation=request.cancellation, describe=str, finish=lambda: None)

    assert len(ask(Slow(), kind, {}, limit=0.6)) == 5


def test_model_that_loads_too_long_is_a_time_out(store: ModelStore) -> None:
    """A first request that gives up while the model loads leaves it loaded, or the next one could never succeed."""
    may_end = threading.Event()

    def load(path: Any, plan: Any) -> Any:
        may_end.wait(30)
        return Engine(path, plan)

    with App(store, load=cast("Any", load)) as app:
        with httpx.Client(transport=InProcessTransport(app), base_url="http://embedded", timeout=60) as client:
            body = {"model": EMBED, "input": "hi"}
            with pytest.raises(httpx.ReadTimeout):
                client.post("/api/embed", json=body, timeout=0.1)
            may_end.set()
            assert client.post("/api/embed", json=body).status_code == 200


def test_threads_end_with_the_client(app: App) -> None:
    """Threads are kept for the next request, and end when the client is closed."""
    threads = threading.active_count()
    with httpx.Client(transport=InProcessTransport(app), base_url="http://embedded", timeout=60) as client:
        for _ in range(20):
            assert client.get("/api/version").status_code == 200
        assert threading.active_count() <= threads + 1
    assert ends(threads)
