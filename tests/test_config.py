"""Settings: precedence, and errors that name where a bad value stands."""

from pathlib import Path

import pytest

from pipeline.config import Config, resolve_config
from pipeline.errors import UsageError


def test_flags_beat_environment_beats_file_beats_defaults(tmp_path: Path) -> None:
    """Each source overrides the one after it, and a flag that is not given overrides nothing."""
    (tmp_path / "pipeline.toml").write_text('model = "file"\nconcurrency = 2\nbatch_size = 8\nhome = "/file"\n')
    environ = {"PIPELINE_MODEL": "environment", "PIPELINE_CONCURRENCY": "3", "OLLAMA_HOST": " "}
    config = resolve_config({"model": "flag", "concurrency": None}, environ=environ, folder=tmp_path)
    assert config == Config(home=Path("/file"), model="flag", concurrency=3, batch_size=8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("modle = 'x'", r"pipeline\.toml: unknown setting 'modle'"),
        (
            "concurrency = 'many'",
            r"pipeline\.toml: concurrency must be a whole number above zero, not 'many'",
        ),
        ("batch_size = 0", "batch_size must be a whole number above zero"),
        ("pull = 'yes'", "pull must be true or false"),
        ("model = ", "not valid TOML"),
    ],
)
def test_bad_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    """An unknown setting, a wrong type and broken TOML are usage errors that name the file."""
    (tmp_path / "pipeline.toml").write_text(content)
    with pytest.raises(UsageError, match=message):
        resolve_config(environ={}, folder=tmp_path)


def test_bad_variable_is_named(tmp_path: Path) -> None:
    """A bad value from the environment names its variable."""
    with pytest.raises(UsageError, match="PIPELINE_BATCH_SIZE: batch_size must be"):
        resolve_config(environ={"PIPELINE_BATCH_SIZE": "-1"}, folder=tmp_path)
