"""Citations: the [n] marks of an answer resolved to passages, missing ones added, impossible ones removed.

In: the text that a model wrote, the passages it was given. Out: the text with marks that all resolve, and Citations
whose quotes are sentences of the passages. Code in the text stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.answer.code import HiddenCode, hide_code
from pipeline.answer.sentences import sentences, support
from pipeline.types import Citation, Hit, Passage

ONE_MARK = r"[\[【](?:source\s*)?\d+(?:\s*[,;]\s*\d+)*[\]】]"
MARKS = re.compile(rf"([^\S\n]*)({ONE_MARK}(?:[^\S\n]*{ONE_MARK})*)", re.IGNORECASE)
ONLY_MARKS = re.compile(rf"\s*(?:{ONE_MARK}\s*)+\.?\s*", re.IGNORECASE)
PLAIN_MARK = re.compile(r"\s*\[(\d+)\]")
SENTENCE = re.compile(r"\S.*?(?:[.!?。！？](?:\s*\[\d+\])*(?=\s|$)|(?=\s*$))")
LEAD = re.compile(r"\s*(?:(?:[-*+•>]|\d{1,9}[.)])\s+)*")
"""What stands before the text of a line: its indentation, and the signs of quotes and lists."""

INDENTED = re.compile(r" {4}|\t")
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
    known = {passage.number for passage in passages}
    hidden = hide_code(_trimmed(text), passages)
    marked, unknown = _with_plain_marks(_with_lone_marks_joined(hidden), known)
    reading = _Reading(passages=passages, hidden=hidden)
    lines = [reading.cited_line(line) for line in marked.split("\n")]
    by_number = {passage.number: passage for passage in passages}
    citations = tuple(
        _citation(by_number[number], " ".join(claims)) for number, claims in sorted(reading.claims.items())
    )
    return CitedText(text=_trimmed(hidden.shown("\n".join(lines))), citations=citations, unknown=tuple(unknown))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence of an answer: as it stands there, without its marks, and the passages that it cites."""

    sentence: str
    text: str
    numbers: tuple[int, ...]


def claims_of(text: str, passages: Sequence[Passage]) -> list[Claim]:
    """The sentences of an answer with resolved marks, in order; a block of code is one, with the marks after it."""
    known = {passage.number for passage in passages}
    hidden = hide_code(text, passages)
    claims: list[Claim] = []
    for line in hidden.text.split("\n"):
        lead = LEAD.match(line)
        for match in SENTENCE.finditer(line, lead.end() if lead else 0):
            marks = tuple(int(number) for number in PLAIN_MARK.findall(match[0]) if int(number) in known)
            claim = hidden.shown(PLAIN_MARK.sub("", match[0])).strip()
            if not claim.strip(" .") and claims:
                claims[-1] = replace(claims[-1], numbers=(*claims[-1].numbers, *marks))
            else:
                claims.append(Claim(sentence=hidden.shown(match[0]), text=claim, numbers=marks))
    return claims


def marks_of(text: str, passages: Sequence[Passage]) -> set[int]:
    """Numbers of the passages that the model itself cited in `text`."""
    marked, _ = _with_plain_marks(hide_code(text, passages).text, {passage.number for passage in passages})
    return {int(number) for number in PLAIN_MARK.findall(marked)}


def without_marks(text: str) -> str:
    return MARKS.sub("", text)


def _trimmed(text: str) -> str:
    """Without blank space at both ends, but for the indentation of a text that begins with indented code."""
    text = re.sub(r"\A(?:[^\S\n]*\n)+", "", text.rstrip())
    return text if INDENTED.match(text) else text.lstrip()


def _with_lone_marks_joined(hidden: HiddenCode) -> str:
    """The text with marks that stand in a line of their own at the end of the line before, where that is no code."""
    joined: list[str] = []
    for line in hidden.text.split("\n"):
        if ONLY_MARKS.fullmatch(line) and joined and joined[-1].strip() and joined[-1] not in hidden.blocks:
            joined[-1] = f"{joined[-1].rstrip()} {line.strip()}"
        else:
            joined.append(line)
    return "\n".join(joined)


def _with_plain_marks(text: str, known: set[int]) -> tuple[str, list[int]]:
    """The text with marks of all forms as `[n]`, a space before them; and the numbers left out as not known."""
    unknown: list[int] = []

    def rewrite(match: re.Match[str]) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", match[2])]
        unknown.extend(number for number in numbers if number not in known)
        begins_line = match.start() == 0 or match.string[match.start() - 1] == "\n"
        marks = "".join(f"[{number}]" for number in numbers if number in known)
        return f"{match[1] if begins_line else ' '}{marks}" if marks else ""

    return MARKS.sub(rewrite, text), unknown


@dataclass(slots=True, kw_only=True)
class _Reading:
    """Goes through an answer line by line; `claims` holds what each passage is cited for."""

    passages: Sequence[Passage]
    hidden: HiddenCode
    claims: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    before: str = ""

    def cited_line(self, line: str) -> str:
        """The line with a mark in each sentence that a passage supports; white space stays as it is."""
        if line in self.hidden.blocks:
            self.before = self.hidden.shown(line)
            return line
        lead = LEAD.match(line)
        start = lead.end() if lead else 0
        return line[:start] + SENTENCE.sub(lambda match: self._cited(match[0]), line[start:])

    def _cited(self, sentence: str) -> str:
        by_number = {passage.number: passage for passage in self.passages}
        numbers = [int(number) for number in PLAIN_MARK.findall(sentence) if int(number) in by_number]
        bare = PLAIN_MARK.sub("", sentence)
        cited = [by_number[number] for number in numbers]
        claim = self.hidden.shown(bare)
        if not claim.strip(" ."):
            claim = self.before  # marks alone belong to what stands before them
        elif not _has_numbers(bare, cited):
            others = [passage for passage in self.passages if _has_numbers(bare, [*cited, passage])]
            if (found := _supporting(claim, others)) is not None:
                numbers.append(found.number)
                sentence = _marked(sentence, found.number)
        self.before = claim
        for number in numbers:
            self.claims.setdefault(number, []).append(claim)
        return sentence


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
    if re.search(r"\[\d+\]$", sentence):
        return f"{sentence}[{number}]"
    body = sentence.rstrip(".!?")
    gap = "" if re.search(r"\[\d+\]$", body) else " "
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
        page=hit.page,
        end_page=hit.end_page,
    )


def _relevance(claim: str, sentence: str) -> tuple[float, float]:
    return support(claim, sentence), support(sentence, claim)
