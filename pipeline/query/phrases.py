"""Quoted parts of a query: passages must hold them literally, but for case, accents and white space.

In: what a user typed. Out: the words to search for, the phrases, and which rows hold them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.lexical import folded, word_characters, word_pattern
from pipeline.query.scope import Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»')
READ_TOGETHER = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`text` is what was typed without quotation marks; `phrases` what stood between them."""

    text: str
    phrases: tuple[str, ...] = ()


def parse_query(typed: str) -> Query:
    """Any text is a query; a quotation mark without its partner is a character like others."""
    phrases: list[str] = []

    def unquoted(match: re.Match[str]) -> str:
        phrase = " ".join(next(group for group in match.groups() if group is not None).split())
        if word_pattern().search(phrase):
            phrases.append(phrase)
        return f" {phrase} "

    # Most queries have none: then they stay as they are.
    text = QUOTED.sub(unquoted, typed)
    return Query(text=" ".join(text.split()) if phrases else typed, phrases=tuple(dict.fromkeys(phrases)))


def rows_with_phrases(scope: Scope, phrases: Sequence[str]) -> NDArray[np.bool_]:
    """Shape (rows,): live rows whose text or headings hold every phrase."""
    import numpy as np  # noqa: PLC0415 - heavy

    index = scope.lexical
    terms: list[tuple[str, ...]] = []
    for phrase in phrases:
        variants = (analyzer.literal_terms(phrase) for analyzer in index.analyzers)
        terms.extend(tuple(dict.fromkeys(words)) for words in zip(*variants, strict=True))
    # The index says which rows may hold them, their text which do.
    candidates = index.rows_with(terms).tolist()
    mask = np.zeros(scope.rows, np.bool_)
    for at in range(0, len(candidates), READ_TOGETHER):
        some = candidates[at : at + READ_TOGETHER]
        for row, passage in zip(some, scope.passages(some), strict=True):
            mask[row] = holds_all(phrases, passage["text"], "\n".join(passage["heading_path"]))
    return mask


def holds_all(phrases: Sequence[str], *texts: str) -> bool:
    """Whether each phrase stands in one of `texts`."""
    plain = [folded(text) for text in texts]
    return all(any(phrase_pattern(phrase).search(text) for text in plain) for phrase in phrases)


@lru_cache(maxsize=64)
def phrase_pattern(phrase: str) -> re.Pattern[str]:
    """Matches a phrase in a folded text, between other words: no letter or digit goes on at either end."""
    plain = folded(phrase)
    words = r"\s+".join(re.escape(word) for word in plain.split())
    word = re.compile(f"[{word_characters()}]")
    before = f"(?<![{word_characters()}])" if word.match(plain[0]) else ""
    after = f"(?![{word_characters()}])" if word.match(plain[-1]) else ""
    return re.compile(before + words + after)
