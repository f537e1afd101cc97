"""The API against requests drawn from its own description: no reply that it does not describe, no server error."""

from typing import Any

import pytest

from tests.web.conftest import Site

schemathesis = pytest.importorskip("schemathesis", reason="pip install 'pipeline[browser]'")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
COSTLY = (
    "/api/chat",
    "/v1/chat/completions",
    "/api/collections/{collection}/ask",
    "/api/jobs/{job}/events",
    "/api/models/pull",
)
"""Those that have the chat model write for minutes, wait for a job's end, or pull whatever they are told to."""


@pytest.fixture
def described(site: Site) -> Any:
    return schemathesis.openapi.from_url(f"{site.url}/api/openapi.json")


schema = schemathesis.pytest.from_fixture("described")


@schema.exclude(path=list(COSTLY)).parametrize()
def test_api_does_what_it_says(case: Any) -> None:
    """Statuses, types and bodies are those of the document, whatever is sent."""
    case.call_and_validate(timeout=60)
