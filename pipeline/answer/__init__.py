"""Stage 6: Hits -> Passages -> prompt within the context -> `/api/chat` -> Answer with Citations."""

from pipeline.answer.extractive import answer_extractively
from pipeline.answer.generative import DEFAULT_CHAT_MODEL, answer_with_model, choose_chat_model

__all__ = ["DEFAULT_CHAT_MODEL", "answer_extractively", "answer_with_model", "choose_chat_model"]
