"""What the native endpoints answer, as frozen records. Fields that a record does not know are kept in `extra`.

Durations are in nanoseconds, as the server sends them; a count that the server left out is None. Names and types are
those of `api/types.go` in ollama/ollama.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.api.records import no_extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbedReply:
    """`matrix`: float32, shape (number of inputs, dimension), row i for input i."""

    model: str
    matrix: NDArray[np.float32]
    prompt_eval_count: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFunction:
    """A function that the model wants called; `arguments` as it gave them."""

    name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=no_extra)
    index: int | None = None
    description: str = ""
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    id: str = ""
    function: ToolFunction = field(default_factory=ToolFunction)
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a conversation, as it comes and as it may be sent back; `images` are base64."""

    role: str = ""
    content: str = ""
    thinking: str = ""
    images: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """`logprob` is the natural logarithm of the token's probability, `bytes` its UTF-8 bytes."""

    token: str = ""
    logprob: float = 0.0
    bytes: tuple[int, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logprob:
    """A token that was written, and the likeliest ones at its place, best first."""

    token: str = ""
    logprob: float = 0.0
    bytes: tuple[int, ...] = ()
    top_logprobs: tuple[TokenLogprob, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What every generated reply carries; the counts and durations come with the last one."""

    model: str = ""
    remote_model: str = ""
    remote_host: str = ""
    created_at: str = ""
    done: bool = False
    done_reason: str = ""
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None
    logprobs: tuple[Logprob, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply(Finished):
    """A whole answer, or one piece of a streamed one."""

    message: Message = field(default_factory=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateReply(Finished):
    """A whole completion, or one piece of a streamed one. `context` may be sent with the next request."""

    response: str = ""
    thinking: str = ""
    context: tuple[int, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    parent_model: str = ""
    format: str = ""
    family: str = ""
    families: tuple[str, ...] = ()
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int | None = None
    embedding_length: int | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model of `/api/tags`: `size` in bytes, `digest` in hex."""

    name: str = ""
    model: str = ""
    remote_model: str = ""
    remote_host: str = ""
    modified_at: str = ""
    size: int = 0
    digest: str = ""
    details: ModelDetails = field(default_factory=ModelDetails)
    capabilities: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningModel:
    """A loaded model of `/api/ps`: sizes in bytes."""

    name: str = ""
    model: str = ""
    size: int = 0
    digest: str = ""
    details: ModelDetails = field(default_factory=ModelDetails)
    expires_at: str = ""
    size_vram: int = 0
    context_length: int = 0
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    name: str = ""
    type: str = ""
    shape: tuple[int, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowReply:
    """`parameters` is the text that the server sends: a line a parameter. `tensors` come with `verbose`."""

    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    system: str = ""
    renderer: str = ""
    parser: str = ""
    details: ModelDetails = field(default_factory=ModelDetails)
    messages: tuple[Message, ...] = ()
    remote_model: str = ""
    remote_host: str = ""
    model_info: Mapping[str, Any] = field(default_factory=no_extra)
    projector_info: Mapping[str, Any] = field(default_factory=no_extra)
    tensors: tuple[Tensor, ...] = ()
    capabilities: tuple[str, ...] = ()
    modified_at: str = ""
    requires: str = ""
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One event of a pull, push or create: bytes of the blob `digest`, where it is about one."""

    status: str = ""
    digest: str = ""
    total: int | None = None
    completed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)
