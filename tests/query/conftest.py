"""Collections to search: small folders indexed with the real embedding model of the embedded server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.collection import Collection
from pipeline.config import Config

TEXTS = {
    "keys.md": """---
author: Mary
date: 2024-06-30
tags: security
---
# Keys

## Rotation

Signing keys are rotated every ninety days by the engineer on call. The old key stays valid for one week.

## Storage

Keys live in the vault service, never in a repository. The function `load_signing_key` reads them.
""",
    "bread.md": """# Bread

Let the dough rest for four hours at room temperature, then bake it for fifty minutes at 230 degrees.
""",
    "tides.txt": "The tide gauge in the harbour reports the water level every six minutes, in millimetres.\n",
    "code/settings.py": '''"""Settings of the harbour."""

MAX_RETRIES = 7


def connectTimeout(seconds: int) -> int:
    """How long to wait for the gauge, in seconds; see RFC-2119."""
    return seconds * MAX_RETRIES
''',
}


def config(tmp: Path, models: Path) -> Config:
    return Config(home=tmp / "home", models=models, host="embedded")


def write(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Collection]:
    """Four documents, indexed; for tests that only read it."""
    folder = tmp_path_factory.mktemp("notes")
    with Collection("notes", config(folder, models_folder)) as collection:
        collection.index(write(folder / "texts", TEXTS))
        yield collection
