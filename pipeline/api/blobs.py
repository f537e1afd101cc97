"""Files for `create`: which ones a Modelfile means, their digests, their bytes in pieces, never whole in memory.

In: paths, a parsed Modelfile. Out: `Blob`s with size and SHA-256, a `CreatePlan`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.api.fields import CreateFields
from pipeline.api.modelfile import Modelfile
from pipeline.errors import UsageError

PIECE_BYTES = 1 << 20

WEIGHTS = (
    ("model*.safetensors", "*/model*.safetensors"),
    ("consolidated*.safetensors",),
    ("pytorch_model*.bin",),
    ("consolidated*.pth",),
    ("*.gguf",),
    ("*.bin",),
)
BESIDE_WEIGHTS = ("*.json", "*/*.json", "chat_template.jinja", "tokenizer.model", "*/tokenizer.model")

OnBytes = Callable[[int, int], None]
"""Called with the bytes sent so far and their total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file as the server stores it: `digest` is `sha256:` and 64 hex digits, `size` is in bytes."""

    path: Path
    digest: str
    size: int

    @classmethod
    def of(cls, path: Path) -> Blob:
        """Reads the file once. Raises UsageError if it cannot be read."""
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
        return cls(path=path, digest=f"sha256:{digest}", size=size)

    def pieces(self, on_bytes: OnBytes | None = None) -> Iterator[bytes]:
        """The file's bytes, a MiB at a time.

        Raises UsageError if the file is no longer as long as it was when it was digested.
        """
        sent = 0
        with self.path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                sent += len(piece)
                if sent > self.size:
                    break
                yield piece
                if on_bytes is not None:
                    on_bytes(sent, self.size)
        if sent != self.size:
            raise UsageError(f"{self.path} changed while it was sent", hint="try again when it is no longer written to")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePlan:
    """What a Modelfile asks for: a model to start from, or files by the names that `create` gives them."""

    source: str | None
    files: Mapping[str, Path]
    adapters: Mapping[str, Path]
    drafts: Mapping[str, Path]
    fields: CreateFields

    def with_files(
        self,
        files: Mapping[str, str] | None,
        adapters: Mapping[str, str] | None,
        drafts: Mapping[str, str] | None,
        quantize: str | None,
    ) -> CreateFields:
        """The fields of the request once the files are uploaded: digests by name."""
        return {
            **self.fields,
            "files": files,
            "adapters": adapters,
            "draft_files": drafts,
            "quantize": quantize,
        }


def plan_create(modelfile: Modelfile, folder: Path) -> CreatePlan:
    """Finds the files that a Modelfile names, relative to `folder`; a source that is no file is a model's name.

    Raises UsageError for an adapter that is not there, or a folder that holds no model.
    """
    source: str | None = None
    files: dict[str, Path] = {}
    for value in modelfile.sources:
        if (place := _place(value, folder)).exists():
            files.update(model_files(place))
        else:
            source = value
    return CreatePlan(
        source=source,
        files=files,
        adapters=_all_named(modelfile.adapters, folder),
        drafts=_all_named(modelfile.drafts, folder),
        fields=modelfile.fields,
    )


def model_files(path: Path) -> dict[str, Path]:
    """The files of a model by name: `path` itself, or what a folder holds: weights of one kind and their configuration.

    The kinds and their order are those of `filesForModel` in ollama/ollama. Raises UsageError if there are no weights.
    """
    if not path.is_dir():
        return {path.name: path}
    for patterns in WEIGHTS:
        if weights := sorted(file for pattern in patterns for file in path.glob(pattern)):
            beside = sorted(file for pattern in BESIDE_WEIGHTS for file in path.glob(pattern))
            return {file.relative_to(path).as_posix(): file for file in [*weights, *beside]}
    raise UsageError(
        f"{path} holds no model", hint="a folder needs model*.safetensors with config.json, or a .gguf file"
    )


def _all_named(values: Sequence[str], folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for value in values:
        place = _place(value, folder)
        if not place.exists():
            raise UsageError(f"there is no file {place}", hint="correct the path in the Modelfile")
        found.update(model_files(place))
    return found


def _place(value: str, folder: Path) -> Path:
    return folder / Path(value).expanduser()
