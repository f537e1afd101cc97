"""Sentences and words of a text, for quoting and for measuring how far one text supports another."""

from __future__ import annotations

import re
from functools import lru_cache

SENTENCE_END = re.compile(
    r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-ZÀ-ÖØ-Þ])|(?<=[。！？])|\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.))"
)
WORD = re.compile(r"\w+", re.UNICODE)
COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "has",
        "have",
        "how",
        "in",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "does",
        "do",
        "did",
        "not",
        "no",
        "i",
        "you",
        "we",
        "they",
        "he",
        "she",
        "can",
        "must",
        "should",
    ]
)


def sentences(text: str) -> list[str]:
    """The sentences, list items and table rows of a text, stripped, in order; each stands in `text` as it is."""
    return [part.strip() for part in SENTENCE_END.split(text) if part and part.strip()]


@lru_cache(maxsize=4096)
def content_words(text: str) -> frozenset[str]:
    """Lower-cased words without the most common English ones; a plain plural counts as its singular."""
    words = (word.lower() for word in WORD.findall(text))
    return frozenset(_singular(word) for word in words if word not in COMMON)


def support(claim: str, source: str) -> float:
    """The share of the claim's content words that the source has, 0 to 1; 0 for a claim without any."""
    wanted = content_words(claim)
    return len(wanted & content_words(source)) / len(wanted) if wanted else 0.0


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
