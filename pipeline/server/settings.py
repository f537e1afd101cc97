"""The embedded server's settings: environment variables in, one frozen record out."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.server.durations import InvalidDuration, parse_duration
from pipeline.version import VERSION

logger = logging.getLogger(__name__)
_LONGEST_NUMBER = 18
_MOST_PARALLEL = 256
"""The engine has no room for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """`keep_alive` is in seconds, infinite for ever; `context_length` is what a chat model gets by default.

    `num_parallel` texts are written at once by one model, each with a context of its own; further requests for it wait,
    and so does who waits for a model to be loaded: `max_queue` of them, the others are refused.

    `threads` None means: as many as there are processor cores this process may use.
    """

    keep_alive: float = 300.0
    max_loaded_models: int = 3
    num_parallel: int = 1
    max_queue: int = 512
    context_length: int = 4096
    max_body_bytes: int = 512 * 1024 * 1024
    threads: int | None = None
    origins: tuple[str, ...] = ()
    version: str = VERSION

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ServerSettings:
        """Read the OLLAMA_* variables by the real server's rules: what cannot be read is left at its default."""
        base = cls()

        def number(name: str, default: int, least: int = 1) -> int:
            text = _variable(environment, name)
            if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
                return int(text) if int(text) >= least else default
            if text:
                _warn(name, text, default)
            return default

        origins = _variable(environment, "OLLAMA_ORIGINS")
        return cls(
            keep_alive=_keep_alive(_variable(environment, "OLLAMA_KEEP_ALIVE"), base.keep_alive),
            max_loaded_models=number("OLLAMA_MAX_LOADED_MODELS", base.max_loaded_models),
            num_parallel=min(number("OLLAMA_NUM_PARALLEL", base.num_parallel), _MOST_PARALLEL),
            max_queue=number("OLLAMA_MAX_QUEUE", base.max_queue, least=0),
            context_length=number("OLLAMA_CONTEXT_LENGTH", base.context_length),
            origins=tuple(part for part in origins.split(",") if part),
        )


def _warn(name: str, text: str, default: object) -> None:
    logger.warning("%s: %r makes no sense here; using the default, %s", name, text, default)


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip().strip("\"'")


def _keep_alive(text: str, default: float) -> float:
    if not text:
        return default
    try:
        seconds = parse_duration(text)
    except InvalidDuration:
        try:
            seconds = float(int(text))
        except ValueError:
            _warn("OLLAMA_KEEP_ALIVE", text, f"{default:g}s")
            return default
    return math.inf if seconds < 0 else seconds
