"""POST /api/embed and /api/embeddings: texts come in, L2-normalised vectors in the same order go out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import batched as _batched
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.server import decode
from pipeline.server.durations import nanoseconds
from pipeline.server.engine import Engine
from pipeline.server.exchange import JSON, Cancellation, Refusal, Reply, Request, encode, json_reply
from pipeline.server.service import Chosen, Service

TOO_LONG = "the input length exceeds the context length"
NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
_TEXTS_AT_ONCE = 64
"""Between two calls of the engine a request can be cancelled and others get their turn."""

_EMBED: dict[str, decode.Check] = {
    "model": decode.string,
    "input": decode.anything,
    "truncate": decode.boolean,
    "dimensions": decode.integer,
    "keep_alive": decode.keep_alive,
    "options": decode.mapping,
}
_EMBEDDINGS: dict[str, decode.Check] = {
    "model": decode.string,
    "prompt": decode.string,
    "keep_alive": decode.keep_alive,
    "options": decode.mapping,
}
