"""Sentences and words of a text, for quoting and for measuring how far one text supports another."""

from __future__ import annotations

import re
from functools import lru_cache

from pipeline.lexical import Analyzer, word_pattern

SENTENCE_END = re.compile(
    r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-ZÀ-ÖØ-Þ])|(?<=[。！？])|\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.))"
)
ENDINGS = Analyzer()
"""Takes off English endings, from whatever language: what is compared loses the same."""

COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be been being by for from has have how in is it its if of on or that than the "
        "then there this to was were what when where which who why will with does do did not no i you we they "
        "he she can could may might must should would also their them his her our your my me us le la les de "
        "des du et est il elle une un das der die ein eine und ist im am los el las y es por que",
    )
)
"""The most common words of English, and a few of its neighbours."""


def sentences(text: str) -> list[str]:
    """The sentences, list items and table rows of a text, stripped, in order; each stands in `text` as it is."""
    return [part.strip() for part in SENTENCE_END.split(text) if part and part.strip()]


@lru_cache(maxsize=4096)
def content_words(text: str) -> frozenset[str]:
    """The words of a text without their endings, as the lexical index has them; without the most common ones."""
    words = word_pattern().findall(text)
    return frozenset(
        term
        for word, terms in zip(words, ENDINGS.terms(text), strict=True)
        if word.lower() not in COMMON
        for term in terms
    )


def support(claim: str, source: str) -> float:
    """The share of the claim's content words that the source has, 0 to 1; 0 for a claim without any."""
    wanted = content_words(claim)
    return len(wanted & content_words(source)) / len(wanted) if wanted else 0.0
