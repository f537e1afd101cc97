"""Model options: the request's and the model's own `options` come in, checked values and engine fields go out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.server.exchange import Refusal

logger = logging.getLogger(__name__)

_INTEGERS = {
    "num_keep": 4, "seed": -1, "num_predict": -1, "top_k": 40, "repeat_last_n": 64, "num_ctx": 0,
    "num_batch": 512, "num_gpu": -1, "main_gpu": 0, "num_thread": 0, "draft_num_predict": 0,
}  # fmt: skip
_NUMBERS = {
    "top_p": 0.9, "min_p": 0.0, "typical_p": 1.0, "temperature": 0.8, "repeat_penalty": 1.0,
    "presence_penalty": 0.0, "frequency_penalty": 0.0,
}  # fmt: skip
_BOOLEANS = {"use_mmap"}
_LISTS = {"stop"}

_ENGINE_NAMES = {
    "num_keep": "n_keep", "seed": "seed", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p",
    "typical_p": "typical_p", "temperature": "temperature", "repeat_last_n": "repeat_last_n",
    "repeat_penalty": "repeat_penalty", "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`context` is None when nobody asked for one; `sampling` are fields of an engine request."""

    context: int | None
    threads: int | None
    num_predict: int
    num_keep: int
    stop: tuple[str, ...]
    sampling: Mapping[str, float]


def resolve(model_parameters: Mapping[str, Any], request_options: Mapping[str, Any]) -> Options:
    """The request's options win over the model's, which win over the defaults. Unknown names are warned about."""
    values: dict[str, Any] = {**_INTEGERS, **_NUMBERS, "stop": []}
    for source in (model_parameters, request_options):
        values.update(_checked(source))
    return Options(
        context=values["num_ctx"] if values["num_ctx"] > 0 else None,
        threads=values["num_thread"] if values["num_thread"] > 0 else None,
        num_predict=values["num_predict"],
        num_keep=values["num_keep"],
        stop=tuple(values["stop"]),
        sampling={engine: values[name] for name, engine in _ENGINE_NAMES.items()},
    )


def _checked(source: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for name, value in source.items():
        if value is None:
            continue
        if name in _INTEGERS:
            known[name] = int(_number(name, value, "integer"))
        elif name in _NUMBERS:
            known[name] = float(_number(name, value, "float32"))
        elif name in _BOOLEANS:
            if not isinstance(value, bool):
                raise Refusal(500, f'option "{name}" must be of type boolean')
        elif name in _LISTS:
            known[name] = _strings(name, value)
        else:
            logger.warning("invalid option provided: %s", name)
    return known


def _number(name: str, value: Any, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(500, f'option "{name}" must be of type {kind}')
    return value


def _strings(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise Refusal(500, f'option "{name}" must be of type array')
    items: list[Any] = value
    if not all(isinstance(item, str) for item in items):
        raise Refusal(500, f'option "{name}" must be of an array of strings')
    return items
