"""The hot path: the JSON of an embed reply becomes a float32 matrix without a Python float object a number.

In: the reply's bytes, how many embeddings were asked for. Out: an `EmbedReply`.
"""

from __future__ import annotations

import threading
from typing import Any

from pipeline.api.replies import EmbedReply
from pipeline.errors import BadReply

_local = threading.local()


def parse_embed_reply(content: bytes, *, count: int) -> EmbedReply:
    """Raises BadReply if `content` is no embed reply, or not of `count` rows of one length."""
    import numpy as np  # noqa: PLC0415 - heavy
    import simdjson  # noqa: PLC0415 - only where embeddings are read

    if not hasattr(_local, "parser"):
        _local.parser = simdjson.Parser()
    try:
        document: Any = _local.parser.parse(content)
        rows: Any = document["embeddings"]
        if len(rows) != count:
            raise BadReply(
                f"asked for {count} embeddings, the reply of /api/embed has {len(rows)}",
                hint="look at the server's log; a proxy in between may cut replies",
            )
        width = len(rows[0]) if count else 0
        matrix = np.empty((count, width), dtype=np.float32)
        for index in range(count):
            row = np.frombuffer(rows[index].as_buffer(of_type="d"), dtype=np.float64)
            if row.shape != (width,):
                raise BadReply(f"embedding {index + 1} of {count} has {row.shape[0]} numbers, the first has {width}")
            matrix[index] = row
        return EmbedReply(
            model=str(_get(document, "model") or ""),
            matrix=matrix,
            prompt_eval_count=_get(document, "prompt_eval_count"),
            total_duration=_get(document, "total_duration"),
            load_duration=_get(document, "load_duration"),
        )
    except BadReply:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        start = content[:80].decode("utf-8", "replace")
        raise BadReply(
            f"the reply of /api/embed holds no embeddings: {error} (it starts with {start!r})",
            hint="NaN in it means that the model failed on a text; else check that this is an Ollama server",
        ) from error
    finally:
        # The parser cannot be used again while objects of its last document are alive.
        document = rows = None


def _get(document: Any, key: str) -> Any:
    try:
        return document[key]
    except KeyError:
        return None
