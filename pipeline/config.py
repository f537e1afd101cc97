"""Settings, resolved once at the edge: flags > environment > pipeline.toml > defaults.

In: what the command line was given, the environment, the folder to look for `pipeline.toml` in.
Out: one frozen `Config`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError

CONFIG_FILE = "pipeline.toml"
EMBEDDED_HOST = "embedded"
DEFAULT_MODEL = "all-minilm"

ENVIRONMENT = {
    "home": "PIPELINE_HOME",
    "host": "OLLAMA_HOST",
    "model": "PIPELINE_MODEL",
    "chat_model": "PIPELINE_CHAT_MODEL",
    "models": "OLLAMA_MODELS",
    "concurrency": "PIPELINE_CONCURRENCY",
    "batch_size": "PIPELINE_BATCH_SIZE",
}


def default_home() -> Path:
    """The user's data folder for this program, by the platform's rules."""
    import platformdirs  # noqa: PLC0415 - only when no home is given

    return Path(platformdirs.user_data_dir("pipeline", appauthor=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """`host` None means: an Ollama on the default address if one answers, else the embedded server;
    `embedded` means the embedded server; anything else is that server and no other.

    The prefixes are for a new collection; None means those of the table of known models.
    `model` None means the collection's own, and `all-minilm` for a new one. `chat_model` None means
    `qwen2.5-coder:1.5b`, or, where the server lacks it and has another chat model, that one. Both may be the path of a
    GGUF file, for the embedded server. `models` is the embedded
    server's model store (default `<home>/models`). `timeout` is in seconds and covers one request, model load included.
    """

    home: Path = field(default_factory=default_home)
    host: str | None = None
    model: str | None = None
    chat_model: str | None = None
    models: Path | None = None
    concurrency: int = 4
    batch_size: int = 32
    timeout: float = 300.0
    pull: bool = True
    query_prefix: str | None = None
    document_prefix: str | None = None

    @property
    def models_folder(self) -> Path:
        return self.models or self.home / "models"

    @property
    def model_files(self) -> tuple[str, ...]:
        """Those of the models that are files."""
        return tuple(name for name in (self.model, self.chat_model) if name and _is_model_file(name))


def resolve_config(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str],
    folder: Path,
) -> Config:
    """Settings from all sources; a flag of None counts as not given.

    Raises UsageError that names the source of a bad value.
    """
    values: dict[str, Any] = {}
    for name, value in _read_toml(folder / CONFIG_FILE).items():
        values[name] = _convert(name, value, source=CONFIG_FILE)
    for name, variable in ENVIRONMENT.items():
        text = environ.get(variable, "").strip()
        if text:
            values[name] = _convert(name, text, source=variable)
    for name, value in (flags or {}).items():
        if value is not None:
            values[name] = _convert(name, value, source=f"--{name.replace('_', '-')}")
    return Config(**values)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="make it readable or remove it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}", hint="correct the line it names") from error


def _convert(name: str, value: Any, *, source: str) -> Any:
    known = {item.name for item in fields(Config)}
    if name not in known:
        raise UsageError(f"{source}: unknown setting {name!r}", hint=f"known settings: {', '.join(sorted(known))}")
    if name in ("home", "models"):
        return Path(str(value)).expanduser().absolute()
    if name in ("concurrency", "batch_size"):
        return _positive(name, value, source=source, whole=True)
    if name == "timeout":
        return _positive(name, value, source=source, whole=False)
    if name == "pull":
        if isinstance(value, bool):
            return value
        raise UsageError(f"{source}: {name} must be true or false, not {value!r}")
    if name in ("model", "chat_model") and _is_model_file(str(value)):
        return str(Path(value).expanduser().absolute())
    return str(value)


def _is_model_file(name: str) -> bool:
    return name.lower().endswith(".gguf")


def _positive(name: str, value: Any, *, source: str, whole: bool) -> int | float:
    try:
        number = int(value) if whole else float(value)
    except (TypeError, ValueError):
        number = 0
    if isinstance(value, bool) or number <= 0:
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"{source}: {name} must be {kind} above zero, not {value!r}")
    return number
