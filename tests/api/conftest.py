"""A scripted server, and either client behind one face, so that each test holds for both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from pipeline.api import AsyncClient, Client, RetryPolicy
from tests.api.scripted_server import Script, scripted_server

QUICK = RetryPolicy(attempts=4, base_delay=0.001, max_delay=0.002)
Ask = Callable[..., Any]


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def ask_sync(url: str, method: str, *arguments: Any, settings: dict[str, Any], **fields: Any) -> Any:
    with Client(url, **settings) as client:
        result = getattr(client, method)(*arguments, **fields)
        return list(result) if method.endswith("_stream") else result


def ask_async(url: str, method: str, *arguments: Any, settings: dict[str, Any], **fields: Any) -> Any:
    async def ask() -> Any:
        async with AsyncClient(url, **settings) as client:
            result = getattr(client, method)(*arguments, **fields)
            return await listed(result) if method.endswith("_stream") else await result

    return asyncio.run(ask())


async def listed(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest, script: Script) -> Ask:
    """`ask(method, *arguments, settings={...}, **fields)`: calls a method of a new client, streams become lists."""

    def ask(method: str, *arguments: Any, settings: dict[str, Any] | None = None, **fields: Any) -> Any:
        return request.param(
            script.url, method, *arguments, settings={"retry": QUICK, "timeout": 5.0, **(settings or {})}, **fields
        )

    return ask
