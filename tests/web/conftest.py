"""The search page on a real socket, over a collection that was indexed with the real embedding model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.server import run_in_thread
from pipeline.web import WebApp, WebSettings
from tests.conftest import CHAT_MODEL

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
TEXTS = {
    "keys.md": """---
author: Mary
date: 2024-06-30
---
# Keys

## Rotation

Signing keys are rotated every ninety days by the engineer on call. The old key stays valid for one week.

## Storage

Keys live in the vault service, never in a repository.
""",
    "bread.md": "# Bread\n\nLet the dough rest for four hours, then bake it for fifty minutes at 230 degrees. \U0001f35e Enjoy.\n",
    "tides.txt": "The tide gauge in the harbour reports the water level every six minutes, in millimetres.\n",
    "hostile.txt": f"A parrot wrote this: {HOSTILE} and flew away.\n",
}


@dataclass(frozen=True)
class Site:
    """A running page: its URL, the application behind it, the folder that may be indexed."""

    url: str
    app: WebApp
    root: Path
    client: httpx.Client


def write(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Config:
    home = tmp_path_factory.mktemp("web-home")
    return Config(home=home, models=models_folder, host="embedded", chat_model=CHAT_MODEL)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("web-root"), {f"texts/{name}": text for name, text in TEXTS.items()})


@pytest.fixture(scope="session")
def site(config: Config, root: Path) -> Iterator[Site]:
    """For tests that leave the collection `notes` as it is."""
    with Collection("notes", config) as collection:
        collection.index(root / "texts")
    settings = WebSettings(roots=(root,), rate=10_000, burst=10_000, upload_bytes=10_000, uploads_bytes=25_000)
    with WebApp(config, settings) as app, run_in_thread(app) as url, httpx.Client(base_url=url, timeout=120) as client:
        yield Site(url, app, root, client)


@pytest.fixture(scope="session")
def client(site: Site) -> httpx.Client:
    return site.client
