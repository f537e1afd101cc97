"""The in-process transports: streaming as it comes, cancelling, asyncio."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from pipeline.server import App, AsyncInProcessTransport, InProcessTransport
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
    with httpx.Client(transport=InProcessTransport(app), base_url="http://embedded") as client:
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
