"""Stage 6: Hits -> Passages -> prompt within the context -> `/api/chat` -> Answer with Citations.

Names are imported when they are first used: whoever only searches does not pay for answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from pipeline.answer.checking import marked_text
    from pipeline.answer.extractive import answer_extractively
    from pipeline.answer.generative import DEFAULT_CHAT_MODEL, answer_with_model, choose_chat_model
    from pipeline.answer.passages import USUAL_PASSAGES
    from pipeline.answer.prompt import PROMPTS, Prompt
    from pipeline.answer.structured import TABLE_SCHEMA, answer_structured, table_of
    from pipeline.answer.summary import MOST_PASSAGES, summarise

__all__ = [
    "DEFAULT_CHAT_MODEL",
    "MOST_PASSAGES",
    "PROMPTS",
    "TABLE_SCHEMA",
    "USUAL_PASSAGES",
    "Prompt",
    "answer_extractively",
    "answer_structured",
    "answer_with_model",
    "choose_chat_model",
    "marked_text",
    "summarise",
    "table_of",
]

__getattr__ = lazy_names(
    __name__,
    {
        "DEFAULT_CHAT_MODEL": "pipeline.answer.generative",
        "MOST_PASSAGES": "pipeline.answer.summary",
        "PROMPTS": "pipeline.answer.prompt",
        "TABLE_SCHEMA": "pipeline.answer.structured",
        "USUAL_PASSAGES": "pipeline.answer.passages",
        "Prompt": "pipeline.answer.prompt",
        "answer_extractively": "pipeline.answer.extractive",
        "answer_structured": "pipeline.answer.structured",
        "answer_with_model": "pipeline.answer.generative",
        "choose_chat_model": "pipeline.answer.generative",
        "marked_text": "pipeline.answer.checking",
        "summarise": "pipeline.answer.summary",
        "table_of": "pipeline.answer.structured",
    },
)
