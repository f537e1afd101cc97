"""Work that reports on its way: lines of progress come in, a stream of them or the last one alone goes out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from pipeline.server.exchange import Reply, Request, json_reply, ndjson_reply
from pipeline.server.failures import failure

Line = dict[str, Any]


def progress_reply(lines: Iterator[Line], request: Request, *, stream: bool) -> Reply:
    """What fails before the first line fails with a status, the rest inside the stream."""
    if not stream:
        *_, last = lines
        return json_reply(last)
    first = next(lines)
    return ndjson_reply(
        chain([first], lines),
        cancellation=request.cancellation,
        describe=lambda error: failure(error)[1],
        finish=request.cancellation.set,
    )
