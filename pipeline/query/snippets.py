"""Where in a passage the words of a query stand.

In: a text, a query. Out: spans of characters to be highlighted. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipeline.lexical import Analyzer, word_pattern
from pipeline.query.phrases import parse_query

# fmt: off
FUNCTION_WORDS = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "have", "how",
        "i", "if", "in", "is", "it", "its", "my", "not", "of", "on", "or", "our", "so", "that", "the", "their",
        "they", "this", "to", "was", "we", "what", "when", "where", "which", "who", "why", "will", "with", "you",
        "your",
    }
)
# fmt: on
"""English words that stand everywhere: highlighted, they would hide the others."""


def matches(text: str, typed: str, languages: Iterable[str] = ("english",)) -> list[tuple[int, int]]:
    """Spans of the words in `text` that have a term in common with the query as typed, ascending."""
    analyzers = [Analyzer(language) for language in languages]
    query = parse_query(typed).text
    words = [word for word in word_pattern().findall(query) if word.lower() not in FUNCTION_WORDS]
    wanted = [{term for word in words for term in analyzer.terms_of(word)} for analyzer in analyzers]
    return [
        match.span()
        for match in word_pattern().finditer(text)
        if any(not terms.isdisjoint(each.terms_of(match[0])) for terms, each in zip(wanted, analyzers, strict=True))
    ]


def best_lines(text: str, spans: list[tuple[int, int]], count: int) -> tuple[int, int]:
    """First and last (exclusive) of the `count` neighbouring lines of `text` with most matches; the first of them."""
    lines = text.split("\n")
    counts = [0] * len(lines)
    line, end = 0, len(lines[0])
    for start, _ in spans:
        while start > end:
            line += 1
            end += len(lines[line]) + 1
        counts[line] += 1
    sums = [sum(counts[at : at + count]) for at in range(max(1, len(lines) - count + 1))]
    first = max(range(len(sums)), key=lambda at: (sums[at], -at))
    return first, min(len(lines), first + count)


def highlighted(text: str, spans: list[tuple[int, int]], style: Callable[[str], str]) -> str:
    """`text` with each span styled."""
    pieces: list[str] = []
    end = 0
    for start, stop in spans:
        pieces += [text[end:start], style(text[start:stop])]
        end = stop
    return "".join([*pieces, text[end:]])
