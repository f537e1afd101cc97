"""What a model file says about itself: a GGUF header comes in, what the server must know goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.server.gguf_header import read_header
from pipeline.server.memory import cache_per_token

EMBEDDING, COMPLETION, TOOLS, THINKING = "embedding", "completion", "tools", "thinking"
_SMALLEST_CONTEXT = 16
_WHOLE_FILE_TYPES = (0, 1, 32)  # llama.cpp's numbers of F32, F16 and BF16


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """`metadata` are the fields of the header, lists as None; `template` is the model's own or empty.

    `cache_per_token` is what a token of context takes in memory, in bytes. `tensors` are (name, type's number, shape).
    """

    architecture: str
    context_length: int
    embedding_length: int
    capabilities: tuple[str, ...]
    template: str
    cache_per_token: int
    tensors: tuple[tuple[str, int, tuple[int, ...]], ...]
    metadata: Mapping[str, Any]

    @property
    def is_embedding(self) -> bool:
        return EMBEDDING in self.capabilities

    @property
    def quantized(self) -> bool:
        return self.metadata.get("general.file_type") not in _WHOLE_FILE_TYPES

    def flag(self, name: str, *, default: bool) -> bool:
        return bool(self.metadata.get(name, default))


def model_facts(path: Path) -> ModelFacts:
    """Read the header of `path`, once for each state of the file."""
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=32)
def _read(path: Path, modified: int, size: int) -> ModelFacts:
    del modified, size  # part of the cache key only
    header = read_header(path)
    metadata = header.metadata
    architecture = str(metadata.get("general.architecture", ""))
    template = str(metadata.get("tokenizer.chat_template", ""))
    return ModelFacts(
        architecture=architecture,
        context_length=max(int(metadata.get(f"{architecture}.context_length", 0)), _SMALLEST_CONTEXT),
        embedding_length=int(metadata.get(f"{architecture}.embedding_length", 0)),
        capabilities=_capabilities(metadata, architecture, template),
        template=template,
        cache_per_token=cache_per_token(metadata, architecture),
        tensors=header.tensors,
        metadata={
            **{name: None if isinstance(value, list) else value for name, value in metadata.items()},
            "general.parameter_count": header.parameter_count,
        },
    )


def lists_of(path: Path) -> dict[str, Any]:
    """The header's lists, such as the vocabulary: large, so read again each time."""
    return {name: value for name, value in read_header(path).metadata.items() if isinstance(value, list)}


def _capabilities(metadata: Mapping[str, Any], architecture: str, template: str) -> tuple[str, ...]:
    if f"{architecture}.pooling_type" in metadata:
        return (EMBEDDING,)
    found = [COMPLETION]
    if "tools" in template or "tool_call" in template:
        found.append(TOOLS)
    if _shows_thinking(template):
        found.append(THINKING)
    return tuple(found)


def _shows_thinking(template: str) -> bool:
    """Templates that write the reasoning tags, and those that only cut earlier reasoning out of the history."""
    if "<think>" in template and "</think>" in template:
        return True
    cuts = "content.split('</think>')" in template or 'content.split("</think>")' in template
    return cuts and "reasoning_content" not in template
