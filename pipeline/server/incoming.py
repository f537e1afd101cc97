"""A request's body that is not read yet: messages of an ASGI server or a client's stream come in, pieces go out.

For bodies of any size: a thread takes the pieces as they come, while the event loop only waits for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from pipeline.server.exchange import Cancellation, RequestCanceled


class Incoming(Iterator[bytes]):
    """Made in the event loop, read in a thread, until `cancellation` ends it; a client that goes away sets that."""

    def __init__(self, receive: Callable[[], Awaitable[dict[str, Any]]], cancellation: Cancellation) -> None:
        self._receive = receive
        self._cancellation = cancellation
        self._loop = asyncio.get_running_loop()
        self._more = True

    def __next__(self) -> bytes:
        if not self._more:
            raise StopIteration
        future = asyncio.run_coroutine_threadsafe(self._next(), self._loop)

        def stop() -> None:
            future.cancel()

        with self._cancellation.watch(stop):
            try:
                message = future.result()
            except CancelledError as error:
                self._cancellation.check()
                raise RequestCanceled from error
        if message["type"] == "http.disconnect":
            self._cancellation.set()
            raise RequestCanceled
        self._more = bool(message.get("more_body"))
        return message.get("body", b"")

    async def _next(self) -> dict[str, Any]:
        return await self._receive()


def from_stream(stream: AsyncIterator[bytes], run: Callable[..., Any]) -> Iterator[bytes]:
    """The pieces of an async client's body, for a thread of its own; `run` calls into the event loop from there."""

    async def following() -> bytes | None:
        return await anext(stream, None)

    while (piece := run(following)) is not None:
        yield piece
