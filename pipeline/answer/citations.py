"""Citations: the [n] marks of an answer resolved to passages, missing ones added, impossible ones removed.

In: the text that a model wrote, the passages it was given. Out: the text with marks that all resolve, and Citations
whose quotes are sentences of the passages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.answer.sentences import sentences, support
from pipeline.types import Citation, Hit, Passage

MARK = re.compile(r"\s*[\[【](?:source\s*)?(\d+(?:\s*[,;]\s*\d+)*)[\]】]", re.IGNORECASE)
NUMERAL = re.compile(r"\d+(?:[.,]\d+)*")
HEADING = re.compile(r"#{1,6}\s")
ATTRIBUTED_FROM = 0.6
"""Share of a sentence's content words that a passage must have to be cited for it unasked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CitedText:
    """`unknown` holds the numbers that were cited and are no passage."""

    text: str
    citations: tuple[Citation, ...]
    unknown: tuple[int, ...]


def resolve_citations(text: str, passages: Sequence[Passage]) -> CitedText:
    """Checks every mark of `text` and adds the best supporting passage to sentences that lack one.

    A sentence lacks one if it carries no mark, or states numbers that none of the passages it cites has.
    """
    by_number = {passage.number: passage for passage in passages}
    unknown: list[int] = []
    claims: dict[int, list[str]] = {}

    def rewrite(match: re.Match[str]) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", match[1])]
        unknown.extend(number for number in numbers if number not in by_number)
        kept = [number for number in numbers if number in by_number]
        return " " + "".join(f"[{number}]" for number in kept) if kept else ""

    lines: list[str] = []
    for line in MARK.sub(rewrite, text.strip()).split("\n"):
        parts: list[str] = []
        for sentence in _with_marks(line):
            numbers = [int(number) for number in re.findall(r"\[(\d+)\]", sentence)]
            bare = re.sub(r"\s*\[\d+\]", "", sentence)
            cited = [by_number[number] for number in numbers]
            if not _has_numbers(bare, cited):
                others = [passage for passage in passages if _has_numbers(bare, [*cited, passage])]
                if (found := _supporting(bare, others)) is not None:
                    numbers.append(found.number)
                    sentence = _marked(sentence, found.number)  # noqa: PLW2901 - the same sentence, with its mark
            for number in numbers:
                claims.setdefault(number, []).append(bare)
            parts.append(sentence)
        lines.append(" ".join(parts))
    citations = tuple(_citation(by_number[number], " ".join(claim)) for number, claim in sorted(claims.items()))
    return CitedText(text="\n".join(lines), citations=citations, unknown=tuple(unknown))


def _with_marks(line: str) -> list[str]:
    """Sentences of a line, each with the marks that follow its full stop."""
    found = re.findall(r"\S.*?(?:[.!?。！？](?:\s*\[\d+\])*(?=\s|$)|$)", line)
    return [part.strip() for part in found if part.strip()]


def _has_numbers(sentence: str, cited: Sequence[Passage]) -> bool:
    """Whether every number that the sentence states stands in a cited passage; false where nothing is cited."""
    stated = set(NUMERAL.findall(sentence))
    return bool(cited) and stated <= {numeral for passage in cited for numeral in NUMERAL.findall(passage.hit.text)}


def _supporting(sentence: str, passages: Sequence[Passage]) -> Passage | None:
    best = max(passages, key=lambda passage: support(sentence, passage.hit.text), default=None)
    if best is None or support(sentence, best.hit.text) < ATTRIBUTED_FROM:
        return None
    return best


def _marked(sentence: str, number: int) -> str:
    if sentence.endswith("]"):
        return f"{sentence}[{number}]"
    body = sentence.rstrip(".!?")
    gap = "" if body.endswith("]") else " "
    return f"{body}{gap}[{number}]{sentence[len(body) :]}"


def _citation(passage: Passage, claim: str) -> Citation:
    hit = passage.hit
    whole = sentences(hit.text)
    stated = [sentence for sentence in whole if not HEADING.match(sentence)] or whole
    quote = max(stated, key=lambda sentence: _relevance(claim, sentence), default=hit.text)
    return quotation(passage.number, hit, quote)


def quotation(number: int, hit: Hit, quote: str) -> Citation:
    """The citation of `quote`, which stands in the hit's text, with the lines that it takes up."""
    before = hit.text[: hit.text.find(quote)].count("\n")
    first = min(hit.start_line + before, hit.end_line)
    return Citation(
        number=number,
        path=hit.path,
        start_line=first,
        end_line=min(first + quote.count("\n"), hit.end_line),
        quote=quote,
    )


def _relevance(claim: str, sentence: str) -> tuple[float, float]:
    return support(claim, sentence), support(sentence, claim)
