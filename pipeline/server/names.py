"""Model names as the real server reads them: `[host/][namespace/]model[:tag]`, with defaults for what is left out.

The rules are those of `types/model/name.go` in ollama/ollama.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.errors import UsageError

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

HOST = re.compile(r"[A-Za-z0-9_][\w.:-]{0,349}", re.ASCII)
NAMESPACE = re.compile(r"[A-Za-z0-9_][\w-]{0,79}", re.ASCII)
PART = re.compile(r"[A-Za-z0-9_][\w.-]{0,79}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelName:
    """A valid, complete name. None of its parts can lead out of a folder."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def short(self) -> str:
        """As the real server shows it: default host and namespace left out, the tag always there."""
        if self.host.lower() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def path(self) -> PurePosixPath:
        """Where its manifest stands below the `manifests` folder."""
        return PurePosixPath(self.host, self.namespace, self.model, self.tag)

    @property
    def folded(self) -> tuple[str, str, str, str]:
        """For comparing: names that differ in case only are the same."""
        return self.host.lower(), self.namespace.lower(), self.model.lower(), self.tag.lower()


def parse_name(text: str) -> ModelName:
    """Raises UsageError for a name that the real server would not take."""
    rest, tag = text, DEFAULT_TAG
    if rest.rfind(":") > rest.rfind("/"):
        rest, _, tag = rest.rpartition(":")
    host, namespace = DEFAULT_HOST, DEFAULT_NAMESPACE
    rest, slash, model = rest.rpartition("/")
    if slash:
        address, slash, namespace = rest.rpartition("/")
        host = address.removeprefix(address.partition("://")[0] + "://") if slash else host
    name = ModelName(host, namespace, model, tag)
    valid = HOST.fullmatch(host) and NAMESPACE.fullmatch(namespace) and PART.fullmatch(model) and PART.fullmatch(tag)
    if not valid:
        raise UsageError(f"{text!r} is not a model's name", hint="names look like all-minilm or qwen2.5-coder:1.5b")
    return name


def from_path(parts: tuple[str, ...]) -> ModelName | None:
    """The name of a manifest by its place, or None where it is not one."""
    if len(parts) != 4:
        return None
    host, namespace, model, tag = parts
    valid = HOST.fullmatch(host) and NAMESPACE.fullmatch(namespace) and PART.fullmatch(model) and PART.fullmatch(tag)
    return ModelName(host, namespace, model, tag) if valid else None
