"""Where exceptions become answers: whatever a handler raises comes in, a status and a text go out."""

from __future__ import annotations

import logging

from pipeline.errors import PipelineError
from pipeline.server.engine_socket import EngineRefusal
from pipeline.server.exchange import Refusal
from pipeline.server.generation import engine_text
from pipeline.server.prompts import TOO_LONG

logger = logging.getLogger(__name__)


def failure(error: Exception) -> tuple[int, str]:
    """The status and the text of the error object; what nobody foresaw is logged."""
    if isinstance(error, Refusal):
        return error.status, error.text
    if isinstance(error, EngineRefusal):
        text = engine_text(error)
        return (400 if text == TOO_LONG else error.status), text
    if isinstance(error, PipelineError):
        return 500, f"{error.message} ({error.hint})" if error.hint else error.message
    logger.error("a request failed", exc_info=error)
    return 500, f"internal error: {error}"
