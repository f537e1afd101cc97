"""What all tests share: the models that the embedded server runs on, and a clean environment."""

import os
from pathlib import Path

import pytest

from pipeline.config import ENVIRONMENT
from pipeline.server.models import ModelStore
from pipeline.server.weights import fetch

ROOT = Path(__file__).parent.parent
EMBEDDING_MODEL = "all-minilm"
CHAT_MODEL = "smollm2:135m"


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """A model store with a small embedding and a small chat model, pulled when they are first needed."""
    folder = Path(os.environ.get("PIPELINE_TEST_MODELS") or ROOT / ".cache" / "models")
    store = ModelStore(folder)
    for name in (EMBEDDING_MODEL, CHAT_MODEL):
        fetch(name, store)
    return folder


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the settings of whoever runs it, or writes outside its own folder."""
    for variable in (*ENVIRONMENT.values(), "OLLAMA_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
