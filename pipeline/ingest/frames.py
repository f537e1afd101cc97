"""Messages between a run and its cutting processes: JSON in frames, a length of eight bytes before each.

In: binary streams. Out: JSON values. Nothing that is read can run code.
"""

from __future__ import annotations

import json
from typing import Any, BinaryIO

LENGTH_BYTES = 8


def write_frame(stream: BinaryIO, value: Any) -> None:
    content = json.dumps(value, separators=(",", ":")).encode()
    stream.write(len(content).to_bytes(LENGTH_BYTES, "little") + content)
    stream.flush()


def read_frame(stream: BinaryIO) -> Any:
    """The next message. Raises EOFError where the other side has ended."""
    head = _exactly(stream, LENGTH_BYTES)
    return json.loads(_exactly(stream, int.from_bytes(head, "little")))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("the stream ended inside a message")
    return content
