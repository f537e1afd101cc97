"""How good an answer is, judged by rules and by no model: facts, citations, refusal, support. Pure.

In: a golden question, the Answer that was given. Out: a `Judgement` with measures in [0, 1]; one that does not apply to
a question is not among its measures.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.answer.sentences import COMMON
from pipeline.evaluate.golden import GoldenQuestion
from pipeline.types import Answer, Citation, Hit

CORRECT, FACTS, F1 = "correct", "facts", "f1"
CITATION_PRECISION, CITATION_RECALL = "citation_precision", "citation_recall"
FAITHFULNESS = "faithfulness"
REFUSED_RIGHTLY, REFUSED_WRONGLY = "refused_rightly", "refused_wrongly"
PASSAGE_READ = "passage_read"
MEASURES = (
    CORRECT,
    FACTS,
    F1,
    CITATION_PRECISION,
    CITATION_RECALL,
    FAITHFULNESS,
    REFUSED_RIGHTLY,
    REFUSED_WRONGLY,
    PASSAGE_READ,
)

SUPPORTED_FROM = 0.6
"""Share of a sentence's content words that what it cites must have."""

IDEOGRAPH = "[\u3040-\u30ff\u3400-\u9fff]"
TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|{IDEOGRAPH}|(?:(?!{IDEOGRAPH})[^\W\d_])+")
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
POSSESSIVE = re.compile(r"['’]s\b")
ARTICLES = {"a", "an", "the"}
MARK = re.compile(r"\s*\[(\d+)\]")
SENTENCE = re.compile(r"\S.*?(?:[.!?。！？][\"'”’)]*(?:\s*\[\d+\])*(?=\s|$)|(?=\s*$))", re.MULTILINE)
NUMERAL = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCitation:
    """`right` is None where there is no golden quote to compare with; `passages` are the hits that it points into."""

    citation: Citation
    passages: tuple[Hit, ...]
    right: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSentence:
    """A sentence, `answer.text[start:end]`, and without its marks `text`; whether what it cites supports it."""

    start: int
    end: int
    text: str
    numbers: tuple[int, ...]
    supported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`facts_found` says of each fact of the question whether the answer states it."""

    measures: Mapping[str, float]
    facts_found: tuple[bool, ...]
    citations: tuple[JudgedCitation, ...]
    sentences: tuple[JudgedSentence, ...]


def judge_answer(question: GoldenQuestion, answer: Answer, root: Path) -> Judgement:
    """Judges one answer; paths of the question are relative to `root`.

    `correct` is 1 where every fact is stated, `facts` the share that is: STR-HIT and STR-EM of Stelmakh et al. 2022
    (ASQA), as ALCE has them (Gao et al. 2023). `f1` is the token F1 of Rajpurkar et al. 2016 (SQuAD), against the
    facts and against the quote, whichever is nearer. All are 0 for a refusal.

    `citation_precision` is the share of the citations that are right: their span or passage holds the golden quote, or
    half of it where it goes over a passage's edge. `citation_recall` is 1 where at least one is right. Both are those
    of ALCE, with the golden quote in place of a model of inference, and for answered questions only.

    `refused_rightly` and `refused_wrongly` are 1 for a refusal where nothing answers the question, or something does:
    the accuracy without an answer of Rajpurkar et al. 2018 (SQuAD 2.0), and its opposite.

    `faithfulness` is the share of the sentences that are supported (Es et al. 2024, RAGAS), by words in place of a
    model: see `judge_sentences`. `passage_read` is 1 where a passage with the golden quote was among those read.
    """
    citations = tuple(_judged(citation, question, answer, root) for citation in answer.citations)
    sentences = judge_sentences(answer) if answer.answered else ()
    found = tuple(states(answer.text, wordings) for wordings in question.answer) if answer.answered else ()
    measures: dict[str, float] = {}
    if question.path is None:
        measures[REFUSED_RIGHTLY] = float(not answer.answered)
    else:
        if question.answer:
            text = answer.text if answer.answered else ""
            measures[CORRECT] = float(bool(found) and all(found))
            measures[FACTS] = sum(found) / len(question.answer)
            references = (" ".join(wordings[0] for wordings in question.answer), question.quote or "")
            measures[F1] = max(token_f1(text, reference) for reference in references)
        measures[REFUSED_WRONGLY] = float(not answer.answered)
        read = answer.hits[: answer.passages_read]
        measures[PASSAGE_READ] = float(any(_holds_quote(hit, question, root) for hit in read))
        if answer.answered:
            right = [bool(each.right) for each in citations]
            measures[CITATION_RECALL] = float(any(right))
            if right:
                measures[CITATION_PRECISION] = sum(right) / len(right)
    if sentences:
        measures[FAITHFULNESS] = sum(each.supported for each in sentences) / len(sentences)
    return Judgement(
        measures=measures,
        facts_found=found or (False,) * len(question.answer),
        citations=citations,
        sentences=sentences,
    )


def judge_sentences(answer: Answer) -> tuple[JudgedSentence, ...]:
    """The sentences of an answer that have content, each with whether what it cites supports it.

    That is: it cites something, every number of it stands in a cited passage, and so does the share SUPPORTED_FROM of
    its content words. A sentence in another language than its passage has no words in common with it, and fails.
    """
    cited: dict[int, list[str]] = {}
    for citation in answer.citations:
        texts = [f"{hit.heading} {hit.text}" for hit in _passages_of(citation, answer.hits)]
        cited.setdefault(citation.number, []).extend([citation.quote, *texts])
    judged: list[JudgedSentence] = []
    for match in SENTENCE.finditer(answer.text):
        numbers = tuple(int(number) for number in MARK.findall(match[0]))
        text = MARK.sub("", match[0]).strip()
        words = _content(text)
        if not words:
            continue
        source = " ".join(piece for number in numbers for piece in cited.get(number, []))
        numerals = set(NUMERAL.findall(text))
        shared = len(words & _content(source)) / len(words)
        supported = numerals <= set(NUMERAL.findall(source)) and shared >= SUPPORTED_FROM
        start, end = match.span()
        judged.append(JudgedSentence(start=start, end=end, text=text, numbers=numbers, supported=supported))
    return tuple(judged)


def states(text: str, wordings: Sequence[str]) -> bool:
    """Whether `text` holds one of the wordings, token by token: `9` does not stand in `90`, `day` does in `days`."""
    words = _tokens(text)
    return any(_stands_in(_tokens(wording), words) for wording in wordings)


def token_f1(text: str, reference: str) -> float:
    """The harmonic mean of precision and recall of tokens, each counted as often as it occurs."""
    words, wanted = Counter(_tokens(text)), Counter(_tokens(reference))
    shared = (words & wanted).total()
    return 2 * shared / (words.total() + wanted.total()) if shared else 0.0


def _tokens(text: str) -> list[str]:
    """Words and numbers in lower case, without articles, possessives, marks and the plain plural."""
    plain = unicodedata.normalize("NFKC", MARK.sub(" ", text)).casefold()
    plain = THOUSANDS.sub("", POSSESSIVE.sub("", plain))
    return [_singular(token) for token in TOKEN.findall(plain) if token not in ARTICLES]


def _content(text: str) -> set[str]:
    """The tokens that say something: without the most common words."""
    return {token for token in _tokens(text) if token not in COMMON}


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _stands_in(wanted: Sequence[str], words: Sequence[str]) -> bool:
    size = len(wanted)
    return size > 0 and any(words[at : at + size] == wanted for at in range(len(words) - size + 1))


def _judged(citation: Citation, question: GoldenQuestion, answer: Answer, root: Path) -> JudgedCitation:
    passages = _passages_of(citation, answer.hits)
    right: bool | None = None
    if question.path is not None:
        spans = citation.path == _wanted(question, root) and _overlap(question.quote or "", citation.quote)
        right = spans or any(_holds_quote(hit, question, root) for hit in passages)
    return JudgedCitation(citation=citation, passages=passages, right=right)


def _passages_of(citation: Citation, hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """The hits whose lines hold the citation's: numbers may count other passages than hits."""
    return tuple(
        hit
        for hit in hits
        if hit.path == citation.path
        and hit.start_line <= citation.start_line
        and citation.end_line <= hit.end_line
        and " ".join(citation.quote.split()) in " ".join(hit.text.split())
    )


def _holds_quote(hit: Hit, question: GoldenQuestion, root: Path) -> bool:
    return hit.path == _wanted(question, root) and _overlap(question.quote or "", hit.text)


def _wanted(question: GoldenQuestion, root: Path) -> str:
    return str((root / (question.path or "")).resolve())


def _overlap(quote: str, text: str) -> bool:
    """Whether one holds the other, or at least half of the quote stands at an edge of `text`; white space aside."""
    quote, text = " ".join(quote.split()), " ".join(text.split())
    if not quote or not text:
        return False
    if quote in text or (text in quote and 2 * len(text) >= len(quote)):
        return True
    half = (len(quote) + 1) // 2
    return any(text.endswith(quote[:size]) or text.startswith(quote[-size:]) for size in range(half, len(quote)))
