"""Embedding model and chat model stay loaded side by side: neither is told to go, and neither is loaded twice."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.collection import Collection
from pipeline.config import Config
from tests.conftest import CHAT_MODEL, EMBEDDING_MODEL
from tests.forwarding_server import forwarding_server


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "keys.md").write_text("# Keys\n\nSigning keys are rotated every ninety days.\n")
    return tmp_path / "docs"


def test_both_models_are_loaded_after_an_answer(docs: Path, models_folder: Path) -> None:
    """`/api/ps` lists both, each with time left, after two questions; no request has a `keep_alive` of its own."""
    with forwarding_server(models_folder) as server:
        config = Config(
            home=docs.parent / "home",
            host=server.url,
            models=models_folder,
            model=EMBEDDING_MODEL,
            chat_model=CHAT_MODEL,
        )
        with Collection("notes", config) as notes:
            notes.index(docs)
            client = notes.connection.client
            for question in ("How often are signing keys rotated?", "Which keys are rotated?"):
                notes.ask(question)
                loaded = {model.name.removesuffix(":latest"): model for model in client.ps()}
                assert set(loaded) == {EMBEDDING_MODEL, CHAT_MODEL}
                for model in loaded.values():
                    assert datetime.fromisoformat(model.expires_at) > datetime.now(UTC)
                assert loaded[CHAT_MODEL].context_length == server.asked[-1]["options"]["num_ctx"]
    assert server.asked
    assert not any("keep_alive" in body for body in server.asked)
    # The same context each time: with another one a server would load the model again.
    assert len({body["options"]["num_ctx"] for body in server.asked}) == 1
