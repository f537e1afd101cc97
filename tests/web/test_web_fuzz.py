"""The API against requests drawn from its own description: no reply that it does not describe, no server error."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.web.app import OPERATIONS
from tests.web.conftest import Site

schemathesis = pytest.importorskip("schemathesis", reason="pip install 'pipeline[browser]'")

from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402 - where there is one

pytestmark = pytest.mark.slow
EXAMPLES = 12
COSTLY = {"ask", "chat", "v1_chat_completions", "job_events", "pull"}
"""With what they take, these have a chat model write for minutes, wait for a job's end, or pull what they are told to.

They are only sent what they do not take.
"""


@pytest.fixture(scope="module")
def described(site: Site) -> Any:
    return schemathesis.openapi.from_url(f"{site.url}/api/openapi.json")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_api_does_what_it_says(described: Any, site: Site, operation: Any, mode: str) -> None:
    """Statuses, types and bodies are those of the document, for what it allows and for what it does not."""
    if mode == "POSITIVE" and operation.name in COSTLY:
        pytest.skip("would take minutes")
    if mode == "NEGATIVE" and not (operation.parameters or operation.body):
        pytest.skip("takes nothing that could be wrong")
    found = described.find_operation_by_label(f"{operation.method} {operation.path}")
    assert found is not None
    cases = found.as_strategy(generation_mode=schemathesis.GenerationMode[mode])

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=cases)
    def answered(case: Any) -> None:
        reply = case.call(timeout=60, base_url=site.url)
        if reply.status_code != 413:  # the document allows it, schemathesis does not take it for a refusal
            # What the schema allows may still not be there: a path, a document, a model.
            case.validate_response(reply, excluded_checks=[positive_data_acceptance])

    answered()
