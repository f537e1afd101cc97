"""Long work as the page shows it: indexing with failures, stopped; a move to another model; a model pulled and removed."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config
from pipeline.server import run_in_thread
from pipeline.store import CollectionWriter, require_collection
from pipeline.web import WebApp, WebSettings
from tests.embed_server import Behaviour, embed_server
from tests.server.make_model import tiny_gguf
from tests.server.registry_server import LocalRegistry, running
from tests.web.browser import chromium, keep_screenshot, serious_problems
from tests.web.conftest import write
from tests.web.test_web_page import WIDE, indexed

pytestmark = pytest.mark.slow
HALF = 2**20


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def page(behaviour: Behaviour, home: Path, tmp_path: Path) -> Iterator[Any]:
    """The collections of a page over an embedding server that does as it is told."""
    root = write(tmp_path / "root", {f"{at:03}.txt": f"Text number {at}.\n" for at in range(40)})
    with embed_server(behaviour) as address, chromium() as browser:
        config = Config(home=home, host=address, batch_size=4, concurrency=1)
        with WebApp(config, WebSettings(roots=(root,))) as app, run_in_thread(app) as url:
            page = browser.new_page(**WIDE)
            page.goto(f"{url}/#/collections")
            page.locator("#index-name").fill("new")
            page.locator("#index-path").fill(".")
            yield page


def begin(page: Any) -> None:
    page.get_by_role("button", name="Index", exact=True).click()


def test_failures_are_listed(page: Any, behaviour: Behaviour) -> None:
    """What could not be embedded stands at the run, and the collection says so."""
    behaviour.poison = {"number 7.": "500"}
    begin(page)
    indexed(page, "new")
    [failure] = page.locator(".failures li").all_inner_texts()
    assert "007.txt" in failure
    made = page.locator("section", has=page.get_by_role("link", name="new", exact=True))
    assert "1 document could not be indexed" in made.inner_text()
    keep_screenshot(page, "failures", whole=True)
    assert serious_problems(page) == []


def test_watched_and_stopped(page: Any, behaviour: Behaviour) -> None:
    """The bar moves while it goes on; stopped, it says what is kept."""
    behaviour.delay = 1
    begin(page)
    bar = page.get_by_role("progressbar", name="Indexing new")
    page.wait_for_function("() => document.querySelector('progress')?.value > 0.1")
    assert 0 < float(bar.get_attribute("value")) < 1
    keep_screenshot(page, "indexing", whole=True)
    page.get_by_role("button", name="Stop: Indexing new").click()
    page.locator(".state.canceled").wait_for()
    assert "what was done is kept" in page.locator(".state.canceled").inner_text()
    page.get_by_role("link", name="new", exact=True).wait_for()
    assert serious_problems(page) == []


def test_a_move_is_shown(page: Any, home: Path) -> None:
    """A collection that is being moved to another model says so, and how far that is."""
    begin(page)
    indexed(page, "new")
    snapshot = require_collection(home, "new")
    with CollectionWriter(snapshot.layout) as writer, CollectionWriter(snapshot.layout.staging) as staged:
        assert writer.snapshot is not None
        model = snapshot.manifest.model
        other = type(model)(
            name="mxbai-embed-large", digest="0", dimension=1024, context=512, query_prefix="", document_prefix=""
        )
        staged.create(other, snapshot.manifest.chunker)
    page.reload()
    made = page.locator("section", has=page.get_by_role("link", name="new", exact=True))
    made.get_by_role("progressbar", name="Moving new").wait_for()
    assert "Moving to mxbai-embed-large, 1024 dimensions: 0 of 40 passages embedded" in made.inner_text()
    made.get_by_role("button", name="Details").click()
    made.locator(".files li").first.wait_for()
    assert "every vector is compared" in made.inner_text()
    assert "words indexed" in made.inner_text()
    keep_screenshot(page, "moving", whole=True)
    assert serious_problems(page) == []


def test_pull_watched_and_removed(tmp_path: Path) -> None:
    """A pull shows how far it is; the model is there then, and goes when one confirms it."""
    registry = LocalRegistry(cuts=1, cut_after=HALF, held=threading.Event())
    content = tiny_gguf(tmp_path / "tiny.gguf").read_bytes().ljust(2 * HALF, b"\0")
    config = {"model_format": "gguf", "model_family": "llama", "model_families": ["llama"]}
    registry.add("library/tiny", "latest", [("model", content)], config)
    settings = Config(home=tmp_path / "home", models=tmp_path / "models", host="embedded")
    with running(registry), chromium() as browser:
        with WebApp(settings) as app, run_in_thread(app) as url:
            page = browser.new_page(**WIDE)
            page.goto(f"{url}/#/models")
            page.locator("#model").fill(f"http://{registry.host}/library/tiny")
            page.get_by_role("button", name="Pull", exact=True).click()
            page.wait_for_function("() => document.querySelector('progress')?.value > 0")
            assert "of 2.1 MB" in page.locator("section", has=page.locator("progress")).inner_text()
            keep_screenshot(page, "pulling")
            assert serious_problems(page) == []
            assert registry.held is not None
            registry.held.set()
            page.locator(".state.done").wait_for()
            title = f"{registry.host}/library/tiny:latest"
            page.get_by_role("heading", name=title).wait_for()
            page.get_by_role("button", name=f"Remove {title}").click()
            page.get_by_role("dialog").get_by_role("button", name="Keep").click()
            page.get_by_role("button", name=f"Remove {title}").click()
            page.get_by_role("dialog").get_by_role("button", name="Remove").click()
            page.get_by_role("heading", name=title).wait_for(state="detached")
