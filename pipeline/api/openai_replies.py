"""What the endpoints of the OpenAI dialect answer, as frozen records; unknown fields are kept in `extra`.

Names and types are those that `openai/openai.go` and `openai/responses.go` in ollama/ollama send. Times are Unix
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.api.records import no_extra
from pipeline.api.replies import Logprob

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """`arguments` is JSON text, or in a stream the next piece of it."""

    name: str = ""
    arguments: str = ""
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionToolCall:
    id: str = ""
    index: int | None = None
    type: str = ""
    function: FunctionCall = field(default_factory=FunctionCall)
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionMessage:
    """A message, or in a stream the next piece of one. `reasoning` is the text of a thinking model."""

    role: str = ""
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[FunctionToolCall, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceLogprobs:
    content: tuple[Logprob, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Generated:
    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    system_fingerprint: str = ""
    usage: TokenUsage | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChoice:
    index: int = 0
    message: CompletionMessage = field(default_factory=CompletionMessage)
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletion(_Generated):
    choices: tuple[ChatChoice, ...] = ()

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].message.content if self.choices else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkChoice:
    index: int = 0
    delta: CompletionMessage = field(default_factory=CompletionMessage)
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletionChunk(_Generated):
    """A piece of a streamed answer; one without choices brings the usage."""

    choices: tuple[ChunkChoice, ...] = ()

    @property
    def text(self) -> str:
        """The piece of text of the first choice."""
        return self.choices[0].delta.content if self.choices else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChoice:
    index: int = 0
    text: str = ""
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(_Generated):
    """A whole completion, or one piece of a streamed one."""

    choices: tuple[TextChoice, ...] = ()

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].text if self.choices else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    id: str = ""
    object: str = ""
    created: int = 0
    owned_by: str = ""
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddingsReply:
    """`matrix`: float32, shape (number of inputs, dimension), row i for input i."""

    model: str
    matrix: NDArray[np.float32]
    usage: TokenUsage = field(default_factory=TokenUsage)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputContent:
    type: str = ""
    text: str = ""
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputItem:
    """A message, a function call or reasoning, as `type` says."""

    id: str = ""
    type: str = ""
    status: str = ""
    role: str = ""
    content: tuple[OutputContent, ...] = ()
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    summary: tuple[OutputContent, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseUsage:
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    extra: Mapping[str, Any] = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    id: str = ""
    object: str = ""
    created_at: int = 0
    completed_at: int | None = None
    status: str = ""
    model: str = ""
    output: tuple[OutputItem, ...] = ()
    error: Mapping[str, Any] | None = None
    incomplete_details: Mapping[str, Any] | None = None
    usage: ResponseUsage | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)

    @property
    def text(self) -> str:
        """The text of all messages of the output."""
        return "".join(part.text for item in self.output if item.type == "message" for part in item.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEvent:
    """An event of a streamed response: `delta` is a piece of text or of arguments, as `type` says."""

    type: str = ""
    sequence_number: int | None = None
    delta: str = ""
    item_id: str = ""
    output_index: int | None = None
    content_index: int | None = None
    item: OutputItem | None = None
    response: Response | None = None
    extra: Mapping[str, Any] = field(default_factory=no_extra)
