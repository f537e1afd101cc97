"""What every client must have seen: by endpoint, whether the value that its program reported is right.

Greedy decoding with a fixed seed: the text is the same through every client, which also shows that each one's template,
options and stream came through whole. Some clients add the status to the server's text.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.server.conftest import CHAT, EMBED

HELLO = "Hello! I'm here to help with"
NO_TOOLS = "registry.ollama.ai/library/smollm2:135m does not support tools"
UNKNOWN = "model 'nope' not found"

Check = Callable[[Any], bool]


def is_refusal(value: Any, text: str) -> bool:
    """The client's own error, with the server's words."""
    kind, words = value
    return kind in ("ResponseError", "BadRequestError", "NotFoundError") and text in words


def is_structured(value: str) -> bool:
    return list(json.loads(value)) == ["blue"] and isinstance(json.loads(value)["blue"], bool)


COMMON: Mapping[str, Check] = {
    "format": is_structured,
    "tools": lambda value: is_refusal(value, NO_TOOLS),
    "errors": lambda value: is_refusal(value, UNKNOWN),
}

OLLAMA: Mapping[str, Check] = {
    **COMMON,
    "embed": lambda value: value == [[16, 16], 6, 384],
    "chat": lambda value: value == ["assistant", HELLO, "length", 8],
    "generate": lambda value: value == [HELLO, "length", 8],
    "stream": lambda value: value == [HELLO, HELLO, True, True, 8],
    "list": lambda value: {f"{EMBED}:latest", CHAT} <= set(value),
    "show": lambda value: value == [["embedding"], 512],
    "ps": lambda value: {f"{EMBED}:latest", CHAT} <= set(value),
    "create": lambda value: value == ["success", 1],
    "copy": lambda value: value == "success",
    "delete": lambda value: value[0] == "success" and is_refusal(value[1], "model 'copied' not found"),
    "pull": lambda value: value == "success",
}
"""Of the official clients, in whatever language."""
