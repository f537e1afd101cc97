"""Stage 6: Hits -> Passages -> prompt within the context -> `/api/chat` -> Answer with Citations."""

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
