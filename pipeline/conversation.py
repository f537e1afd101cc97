"""A conversation with a chat model: what was said, with which settings; it can be kept in a file and taken up again.

In: a client, what the user says. Out: the model's answers, piece by piece; a JSON file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.api import ChatReply, Client, Message

FORMAT = 1


@dataclass(slots=True, kw_only=True)
class Conversation:
    """`messages` are those of `/api/chat`, without the system prompt, which `system` holds. `options` are the model's.

    A message is only kept together with its answer, so a turn that fails can be tried again. `grounding` is what a
    `pipeline.dialogue.Dialogue` keeps of its own beside the messages: collection, settings and turns with sources.
    """

    model: str
    system: str = ""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    think: bool | None = None
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    grounding: dict[str, Any] | None = None

    def say(self, client: Client, text: str) -> Generator[ChatReply]:
        """The answer to `text`, in pieces. Closing the generator early keeps what had come as the answer.

        Raises ApiError; the conversation is then as it was, but for what the model had already said.
        """
        from pipeline.api.fields import message_json  # noqa: PLC0415 - heavy

        question = {"role": "user", "content": text}
        pieces: list[Message] = []
        before = [{"role": "system", "content": self.system}] if self.system else []
        stream = client.chat_stream(
            self.model, [*before, *self.messages, question], options=self.options or None, think=self.think
        )
        try:
            with closing(stream):
                for reply in stream:
                    pieces.append(reply.message)
                    yield reply
        finally:
            content = "".join(piece.content for piece in pieces)
            calls = [call for piece in pieces for call in message_json(piece).get("tool_calls", [])]
            if content or calls:
                answer = {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}
                self.messages += [question, answer]

    def forget_last(self) -> str | None:
        """Takes back the last turn and returns what the user had said, or None if there is no turn."""
        if len(self.messages) < 2:
            return None
        question = self.messages[-2]["content"]
        del self.messages[-2:]
        return str(question)

    def save(self, path: Path) -> None:
        """Raises UsageError if the file cannot be written; an older one is then as it was."""
        content = {
            "format": FORMAT,
            "model": self.model,
            "system": self.system,
            "options": self.options,
            "think": self.think,
            "messages": self.messages,
            **({} if self.grounding is None else {"grounding": self.grounding}),
        }
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8", errors="replace") as file:
                json.dump(content, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}", hint="choose another place") from error

    @classmethod
    def load(cls, path: Path) -> Conversation:
        """Raises UsageError if the file is missing or holds no conversation."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}")
            return cls(
                model=str(content["model"]),
                system=str(content["system"]),
                options=dict(content["options"]),
                think=content["think"],
                messages=[{**message, "role": str(message["role"])} for message in content["messages"]],
                grounding=dict(content["grounding"]) if content.get("grounding") else None,
            )
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}", hint="check the name") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} holds no conversation: {error}", hint="load what /save wrote") from error
