"""What a process and the workers beside it say to each other: frames of JSON and bytes.

In and out: a frame is two lengths of 8 bytes, big-endian, then so many bytes of JSON and so many of content. A parsed
file travels as JSON; nothing that is received is executed.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from typing import IO, Any

from pipeline.read.formats import Parsed
from pipeline.types import Block

HEADER = struct.Struct(">QQ")


def write_frame(stream: IO[bytes], message: Any, content: bytes = b"") -> None:
    body = json.dumps(message).encode()
    stream.write(HEADER.pack(len(body), len(content)) + body)
    if content:
        stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[Any, bytes] | None:
    """The next message and its content, or None where the other side has ended."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    body_length, content_length = HEADER.unpack(header)
    body = stream.read(body_length)
    content = stream.read(content_length) if content_length else b""
    if len(body) < body_length or len(content) < content_length:
        return None
    return json.loads(body), content


def packed(parsed: Parsed) -> dict[str, Any]:
    """A parsed file in terms of JSON; blocks as lists, as there may be a million of them."""
    fields = asdict(parsed) | {"blocks": []}
    fields["blocks"] = [[block.start, block.end, block.kind, block.level, block.title] for block in parsed.blocks]
    return fields


def unpacked(fields: dict[str, Any]) -> Parsed:
    blocks = tuple(
        Block(start=start, end=end, kind=kind, level=level, title=title)
        for start, end, kind, level, title in fields["blocks"]
    )
    return Parsed(
        text=fields["text"],
        blocks=blocks,
        title=fields["title"],
        metadata=fields["metadata"],
        source_lines=tuple((offset, line) for offset, line in fields["source_lines"]),
        pages=tuple((offset, page) for offset, page in fields["pages"]),
        notices=tuple(fields["notices"]),
    )
