"""POST /api/embed and /api/embeddings: texts come in, L2-normalised vectors in the same order go out."""

from __future__ import annotations

from pipeline.server import decode

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
