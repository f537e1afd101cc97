"""The embedded server's settings: environment variables in, one frozen record out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.server.durations import InvalidDuration, parse_duration
from pipeline.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """`keep_alive` is in seconds, infinite for ever; `context_length` is what a chat model gets by default.

    `threads` None means: as many as there are processor cores this process may use.
    """

    keep_alive: float = 300.0
    max_loaded_models: int = 3
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

        def number(name: str, default: int) -> int:
            text = _variable(environment, name)
            return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default

        origins = _variable(environment, "OLLAMA_ORIGINS")
        return cls(
            keep_alive=_keep_alive(_variable(environment, "OLLAMA_KEEP_ALIVE"), base.keep_alive),
            max_loaded_models=number("OLLAMA_MAX_LOADED_MODELS", base.max_loaded_models),
            max_queue=number("OLLAMA_MAX_QUEUE", base.max_queue),
            context_length=number("OLLAMA_CONTEXT_LENGTH", base.context_length),
            origins=tuple(part for part in origins.split(",") if part),
        )


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
            return default
    return math.inf if seconds < 0 else seconds
