"""The page in a real browser: search, documents, answers, keys, uploads, jobs, phone size, dark; and axe."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.server import run_in_thread
from pipeline.web import WebApp, WebSettings
from tests.web.browser import chromium, keep_screenshot, serious_problems
from tests.web.conftest import Site

pytestmark = pytest.mark.slow
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1200, "height": 850}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Any, site: Site) -> Iterator[Any]:
    """Opens a view; at the end nothing has gone to another host, and no script has failed."""
    contexts: list[Any] = []
    asked: list[str] = []
    errors: list[str] = []

    def open_view(view: str = "", **context: Any) -> Any:
        contexts.append(browser.new_context(**(context or WIDE)))
        page = contexts[-1].new_page()
        page.set_default_timeout(90_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
        page.goto(f"{site.url}/{view}")
        return page

    yield open_view
    for context in contexts:
        context.close()
    assert errors == []
    assert {re.match(r"\w+://[^/]+", url)[0] for url in asked} <= {site.url}  # type: ignore[index]  # every URL matches


def searched(page: Any, text: str) -> Any:
    """Types a query; the hits that belong to it."""
    page.locator("#query").fill(text)
    page.wait_for_function(
        "text => !document.querySelector('#hits').classList.contains('stale') && location.hash.includes(new URLSearchParams({q: text}))"
        " && document.querySelector('.count').textContent",
        arg=text,
    )
    return page.locator(".hit")


def indexed(page: Any, collection: str) -> None:
    """Waits until the page says that the collection is indexed."""
    page.locator("section", has_text=f"Indexing {collection}").locator(".state.done").first.wait_for()


def test_search_as_you_type(open_page: Any) -> None:
    """Hits come without Enter, with words marked and headings; the address can be opened again."""
    page = open_page()
    page.keyboard.type("how often are keys rotated")
    page.wait_for_selector(".hit")
    searched(page, "how often are keys rotated?")
    first = page.locator(".hit").first
    assert first.locator(".hit-link").inner_text() == "keys.md"
    assert first.locator(".crumbs").inner_text() == "Keys"
    assert "rotated" in first.locator("mark").all_inner_texts()
    keep_screenshot(page, "search")
    page.reload()
    page.wait_for_selector(".hit")
    assert page.locator("#query").input_value() == "how often are keys rotated?"


def test_modes_and_explanation(open_page: Any) -> None:
    """By words alone the rest is not found; a hit says on demand what each stage made of it."""
    page = open_page()
    assert searched(page, "harbour gauge").count() > 1
    page.get_by_text("Words", exact=True).click()
    page.wait_for_function("() => document.querySelectorAll('.hit').length === 1")
    page.get_by_role("button", name="Why this?").click()
    page.wait_for_selector(".why td")
    assert "lexical" in page.locator(".why").inner_text()
    assert "gaug" in page.locator(".why").inner_text()
    keep_screenshot(page, "explained")


def test_filter_with_a_mistake(open_page: Any) -> None:
    """The error stands at the field, with its place; corrected, the hits come."""
    page = open_page()
    searched(page, "keys")
    page.get_by_role("button", name="Filter").click()
    page.locator("#where").fill("name = keys.md and and")
    page.wait_for_selector(".pointed:not([hidden])")
    assert "a field is missing here" in page.locator(".pointed").inner_text()
    assert page.locator("#where").get_attribute("aria-invalid") == "true"
    keep_screenshot(page, "filter-error")
    page.locator("#where").fill("name = keys.md")
    page.wait_for_selector(".pointed[hidden]", state="attached")
    assert set(page.locator(".hit-link").all_inner_texts()) == {"keys.md"}


def test_filters_of_the_page(open_page: Any, site: Site, config: Config) -> None:
    """What is shown of a hit, how many of a document, and where is searched; all of it stands in the address."""
    with Collection("harbour", config) as collection:
        collection.index(site.root / "texts/tides.txt")
    try:
        page = open_page("#/search?c=notes")
        assert searched(page, "signing keys").count() > 2
        assert page.locator(".badge").count() == 0
        page.get_by_role("button", name="Filter").click()
        page.get_by_label("Of one document").select_option("one")
        page.wait_for_function(
            "() => new Set([...document.querySelectorAll('.hit-link')].map(each => each.textContent)).size"
            " === document.querySelectorAll('.hit').length"
        )
        page.get_by_label("Show").select_option("its section")
        page.get_by_label("harbour").check()
        page.locator(".badge", has_text="harbour").first.wait_for()
        keep_screenshot(page, "filters")
        assert serious_problems(page) == []
        asked = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.split('?')[1]))")
        assert (asked["in"], asked["per"], asked["show"]) == ("harbour,notes", "1", "section")
        page.reload()
        page.locator(".badge", has_text="harbour").first.wait_for()
        assert page.get_by_label("harbour").is_checked()
    finally:
        site.client.delete("/api/collections/harbour")


def test_rerank_on_demand(open_page: Any) -> None:
    """A chat model judges what was found, and each hit says what it gave; a new query is searched as before."""
    page = open_page()
    searched(page, "how often are keys rotated")
    page.get_by_role("button", name="Rerank").click()
    page.wait_for_function("() => /judged in/.test(document.querySelector('.count').textContent)")
    page.get_by_role("button", name="Why this?").first.click()
    assert "rerank" in page.locator(".why").inner_text()
    keep_screenshot(page, "reranked")
    searched(page, "how often are keys rotated?")
    assert "judged" not in page.locator(".count").inner_text()


def test_similar_passages(open_page: Any) -> None:
    """A passage takes the place of a query, until one types."""
    page = open_page()
    searched(page, "rotation of signing keys").first.get_by_role("link", name="Similar").click()
    page.locator(".like:not([hidden])").wait_for()
    assert "Similar to keys.md" in page.locator(".like").inner_text()
    page.wait_for_selector(".hit")
    assert page.locator("#query").input_value() == ""
    searched(page, "bread")
    assert page.locator(".like").is_hidden()


def test_citations_jump_to_their_passage(open_page: Any, site: Site) -> None:
    """The number in the answer leads to the document, where the quoted sentence is marked; a further question is understood."""
    page = open_page("#/ask")
    page.locator("#question").fill("How long does the dough rest?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn[aria-busy='false']")
    page.locator("#question").fill("And how long is it baked?")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll(\".turn[aria-busy='false']\").length === 2")
    keep_screenshot(page, "conversation", whole=True)
    page.locator(".answer a").first.click()
    page.wait_for_selector(".part.found mark")
    assert "fifty minutes" in page.locator(".part.found mark").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector(".turn")
    assert page.locator(".turn").count() == 2


def test_keyboard_alone(open_page: Any) -> None:
    """`/` to the field, arrows through the hits, Enter opens, Esc comes back to where one was."""
    page = open_page()
    searched(page, "harbour gauge")
    page.locator("#theme").focus()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "tides.txt"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector(".part.found")
    assert "water level" in page.locator(".part.found .body").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector(".hit")
    assert page.locator("#query").input_value() == "harbour gauge"
    page.locator("#query").focus()
    page.keyboard.press("Escape")
    page.wait_for_selector(".empty")


def test_document_with_the_place_marked(open_page: Any) -> None:
    """The passage stands among the others, and is in sight."""
    page = open_page()
    searched(page, "where do keys live, vault").first.locator(".hit-link").click()
    page.wait_for_selector(".part.found")
    assert "Mary" in page.locator(".facts").inner_text()
    assert page.locator(".part").count() >= 1
    box = page.locator(".part.found").bounding_box()
    assert 0 <= box["y"] < 850
    keep_screenshot(page, "document")


def test_text_of_documents_stays_text(open_page: Any) -> None:
    """Markup in a document is shown as it stands, in hits and in the document."""
    page = open_page()
    hits = searched(page, "what did the parrot write")
    assert "<script>" in hits.first.inner_text()
    hits.first.locator(".hit-link").click()
    page.wait_for_selector(".part.found")
    assert "<img src=x onerror=" in page.locator(".part.found").inner_text()
    assert page.locator("main img, main script").count() == 0
    assert "owned" not in page.title()


def test_ask(open_page: Any) -> None:
    """The answer comes, with its model; its sources lead to the passage."""
    page = open_page("#/ask")
    page.locator("#question").fill("How often are signing keys rotated?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn[aria-busy='false']")
    assert page.locator(".turn .answer").inner_text().strip()
    assert "smollm2:135m" in page.locator(".turn").inner_text()
    keep_screenshot(page, "ask")
    page.locator(".source, .turn .hit-link").first.click()
    page.wait_for_selector(".part.found")


def test_stop_an_answer(open_page: Any, site: Site) -> None:
    """Stopped by the person, the answer ends, and its place among the running ones is free."""
    page = open_page("#/ask")
    page.get_by_label("Answer from").select_option("chat")
    page.locator("#question").fill("Count from one to nine hundred, in words.")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".turn .note, .turn .small")
    page.get_by_role("button", name="Ask", exact=True).wait_for()
    for _ in range(site.app.settings.answers):
        site.client.post("/api/collections/notes/ask", json={"question": "Who?", "k": 1}).raise_for_status()


def test_collections_index_and_remove(open_page: Any, site: Site) -> None:
    """A folder is indexed while one watches; the collection shows its state, and goes."""
    page = open_page("#/collections")
    page.locator("#index-name").fill("made")
    page.locator("#index-path").fill("texts")
    page.get_by_role("button", name="Index").click()
    indexed(page, "made")
    made = page.locator("section", has=page.get_by_role("heading", name="made", exact=True))
    made.get_by_role("button", name="Details").click()
    made.locator(".files li").first.wait_for()
    assert made.locator(".files li").count() == 4
    keep_screenshot(page, "collections", whole=True)
    made.get_by_role("button", name="Remove made").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    made.wait_for(state="detached")
    assert "made" not in [each["collection"] for each in site.client.get("/api/collections").json()["collections"]]


def test_path_outside_is_refused_at_the_form(open_page: Any) -> None:
    """The server's hint is shown."""
    page = open_page("#/collections")
    page.locator("#index-path").fill("/etc")
    page.get_by_role("button", name="Index").click()
    assert "--root" in page.get_by_role("alert").inner_text()


def test_upload_by_drop(open_page: Any, site: Site) -> None:
    """Dropped files are taken and indexed; one that is too large is named."""
    page = open_page("#/collections")
    page.locator("#index-name").fill("dropped")
    files = page.evaluate_handle(
        """() => { const data = new DataTransfer();
        data.items.add(new File(["# Parrots\\n\\nA parrot repeats what it hears."], "parrot note.md", {type: "text/markdown"}));
        data.items.add(new File(["x".repeat(20000)], "large.txt", {type: "text/plain"})); return data; }"""
    )
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": files})
    indexed(page, "dropped")
    assert "large.txt: the file is larger" in page.locator("#uploading").inner_text()
    keep_screenshot(page, "upload", whole=True)
    found = site.client.get("/api/collections/dropped/search", params={"q": "parrot"}).json()["hits"]
    assert [Path(hit["path"]).name for hit in found] == ["parrot note.md"]


def test_models(open_page: Any) -> None:
    """What is there, and what can be pulled."""
    page = open_page("#/models")
    page.get_by_role("heading", name="smollm2:135m").wait_for()
    assert page.get_by_role("button", name="Pull qwen2.5-coder:1.5b").is_visible()
    keep_screenshot(page, "models")


def test_token_is_asked_for(browser: Any, config: Config) -> None:
    """A page that needs a token asks for it, or takes it from the printed address; it is not kept in the address."""
    with WebApp(config, WebSettings(token="secret")) as app, run_in_thread(app) as url:
        page = browser.new_page()
        page.goto(url)
        page.locator("#token").fill("wrong")
        page.get_by_role("button", name="Open").click()
        page.locator("#token").wait_for()
        page.locator("#token").fill("secret")
        page.get_by_role("button", name="Open").click()
        page.locator("#query").wait_for()
        other = browser.new_page()
        other.goto(f"{url}/#token=secret")
        other.locator("#query").wait_for()
        assert "secret" not in other.url
        assert httpx.get(f"{url}/api/collections").status_code == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "phone"])
@pytest.mark.parametrize("view", ["search", "ask", "document", "collections", "models"])
def test_nothing_serious_for_axe(open_page: Any, view: str, size: str, scheme: str) -> None:
    """axe-core finds nothing serious in any view; nothing is wider than a phone."""
    page = open_page("#/search", **(PHONE if size == "phone" else WIDE), color_scheme=scheme)
    searched(page, "how are keys rotated").first.wait_for()
    if view == "document":
        page.locator(".hit-link").first.click()
        page.wait_for_selector(".part.found")
    elif view != "search":
        page.locator(f"#views a[data-view='{view}']").click()
        page.locator({"ask": "#question", "collections": "#index-name", "models": "section h2"}[view]).first.wait_for()
    page.wait_for_timeout(300)
    keep_screenshot(page, f"{view}-{size}-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_problems(page) == []


def test_dark_by_choice(open_page: Any) -> None:
    """The button turns the colours round, and the choice stays."""
    page = open_page(**WIDE, color_scheme="light")
    before = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.locator("#theme").click()
    after = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert before != after
    page.reload()
    page.locator("#query").wait_for()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == after
