"""The map through the API, and in the browser."""

import time
from typing import Any

import pytest

from tests.web.browser import chromium, keep_screenshot, serious_problems
from tests.web.conftest import Site

MAP = "/api/collections/notes/map"


def drawn(site: Site) -> dict[str, Any]:
    """The map, waited for."""
    while (reply := site.client.get(MAP)).status_code == 202:
        assert set(reply.json()) == {"step", "done", "total"}
        time.sleep(0.05)
    return reply.raise_for_status().json()


def test_map_is_made_once_and_shows_every_passage(site: Site) -> None:
    """Asked for, it is made; its points lead to passages, a query to the point of its best hit."""
    data = drawn(site)
    assert data["shown"] == len(data["points"]["x"]) == site.client.get("/api/collections/notes").json()["chunks"]
    assert site.client.get(MAP).status_code == 200
    numbers = ",".join(str(at) for at in range(data["shown"]))
    passages = site.client.get(f"{MAP}/passages", params={"points": numbers}).json()["passages"]
    assert any("tide gauge" in each["text"] for each in passages)
    found = site.client.get(f"{MAP}/query", params={"q": "tide gauge in the harbour"}).json()
    best = found["hits"][0]
    assert "tide gauge" in passages[best["point"]]["text"]
    for wrong in ("99", "x", "1,,2", ""):
        assert site.client.get(f"{MAP}/passages", params={"points": wrong}).status_code == 400


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_map_in_the_browser(site: Site, scheme: str) -> None:
    """It is drawn, takes a query, follows keys, opens a passage; axe finds nothing serious."""
    drawn(site)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 850}, color_scheme=scheme)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(f"{site.url}/#/map?c=notes")
        page.locator(".map-view canvas").first.wait_for()
        with page.expect_response(lambda reply: "/map/query" in reply.url):
            page.get_by_label("Draw a query in").fill("tide gauge")
        page.wait_for_timeout(600)
        keep_screenshot(page, f"map-{scheme}")
        assert serious_problems(page) == []
        page.locator(".map-view [tabindex='0']").first.focus()
        page.keyboard.press("n")
        page.keyboard.press("Enter")
        page.wait_for_selector(".part.found")
        assert "tide gauge" in page.locator(".part.found").inner_text()
        assert errors == []
