"""A headless Chromium for tests of the page: found, not downloaded; screenshots are kept in .cache/screenshots."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCREENSHOTS = Path(os.environ.get("PIPELINE_SCREENSHOTS") or ROOT / ".cache" / "screenshots")
AXE = Path(os.environ.get("PIPELINE_AXE") or ROOT / ".cache" / "axe" / "node_modules" / "axe-core" / "axe.min.js")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; the test is skipped, with the way to get it, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'pipeline[browser]'")
    path = os.environ.get("PIPELINE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no chromium: apt-get install chromium, or set PIPELINE_CHROMIUM; scripts/test-web does it all")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def keep_screenshot(page: Any, name: str, *, whole: bool = False) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)


def serious_problems(page: Any) -> list[str]:
    """What axe-core finds of serious or critical impact."""
    if not AXE.is_file():
        pytest.skip(f"no axe-core in {AXE}: scripts/test-web installs it")
    # Through the debugger, not as a script of the page, which its policy would refuse.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {[node['target'] for node in each['nodes']]}: {each['nodes'][0].get('failureSummary')}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
