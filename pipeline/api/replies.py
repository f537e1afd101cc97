"""What the server answers, as frozen records. Fields that a record does not know are kept in `extra`.

Durations are in nanoseconds, as the server sends them; a count that the server left out is None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import BadReply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Record = TypeVar("Record")
JSON = dict[str, Any]


def no_extra() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbedReply:
    """`matrix`: float32, shape (number of inputs, dimension), row i for input i."""

    model: str
    matrix: NDArray[np.float32]
    prompt_eval_count: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: str = ""
    content: str = ""
    thinking: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    images: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What every generated reply carries; the counts and durations come with the last one."""

    model: str = ""
    created_at: str = ""
    done: bool = False
    done_reason: str = ""
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None
    logprobs: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply(Finished):
    """A whole answer, or one piece of a streamed one."""

    message: Message = field(default_factory=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateReply(Finished):
    """A whole completion, or one piece of a streamed one."""

    response: str = ""
    thinking: str = ""
    context: tuple[int, ...] = ()
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model of `/api/tags`: `size` in bytes, `digest` in hex."""

    name: str = ""
    model: str = ""
    modified_at: str = ""
    size: int = 0
    digest: str = ""
    details: Mapping[str, Any] = field(default_factory=no_extra)
    capabilities: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningModel:
    """A loaded model of `/api/ps`: sizes in bytes."""

    name: str = ""
    model: str = ""
    size: int = 0
    digest: str = ""
    details: Mapping[str, Any] = field(default_factory=no_extra)
    expires_at: str = ""
    size_vram: int = 0
    context_length: int = 0
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowReply:
    """`parameters` is the text that the server sends: a line a parameter."""

    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    system: str = ""
    details: Mapping[str, Any] = field(default_factory=no_extra)
    model_info: Mapping[str, Any] = field(default_factory=no_extra)
    capabilities: tuple[str, ...] = ()
    modified_at: str = ""
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One event of a pull: bytes of the blob `digest`, where it is about one."""

    status: str = ""
    digest: str = ""
    total: int | None = None
    completed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)


def record(kind: type[Record], content: object) -> Record:
    """Builds a record from a decoded JSON object. Raises BadReply if it is none, or a field has the wrong type."""
    if not isinstance(content, dict):
        raise BadReply(f"expected a JSON object from the server, got {type(content).__name__}")
    values: JSON = {}
    extra: JSON = {}
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    for key, value in content.items():
        if key not in fields or key == "extra":
            extra[key] = value
        elif value is not None:
            values[key] = _converted(kind, key, str(fields[key].type), value)
    return kind(**values, extra=extra)  # pyright: ignore[reportCallIssue] - every kind has `extra`


_EXPECTED: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "int | None": int,
    "bool": bool,
    "Mapping[str, Any]": dict,
}


def _converted(kind: type[Any], key: str, wanted: str, value: Any) -> Any:
    if wanted == "Message":
        return record(Message, value)
    if wanted.startswith("tuple["):
        if isinstance(value, list):
            return tuple(value)
    elif isinstance(value, _EXPECTED[wanted]) and not (wanted.startswith("int") and isinstance(value, bool)):
        return value
    raise BadReply(f"{kind.__name__}.{key}: expected {wanted}, got {str(value)[:80]!r}")
