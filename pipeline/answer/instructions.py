"""Text in documents that speaks to a language model instead of a reader: found, and withheld from the model. Pure.

In: hits. Out: the same hits without such text, and how many had some. docs/answering.md says what this catches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.answer.fence import CONTROL
from pipeline.answer.sentences import SENTENCE_END
from pipeline.types import Hit

WITHHELD = "[…]"

MODEL = (
    r"(?:an? )?(?:AIs?|AI (?:assistants?|models?|systems?)|(?:large )?language models?|LLMs?|chat ?bots?|assistants?)"
)
SPEAK = r"(?:repl(?:y|ies)|respond|answer|output|print|write|say|begin|start|end|append|repeat|include|mention|add)"
FORMS = [
    r"\b(?:ignore|disregard|forget|override)\b[^.]{0,40}\b(?:instructions?|rules?|prompts?|sources?|question)\b",
    r"\b(?:ignore|disregard|forget) (?:everything|all|the (?:above|rest))\b",
    r"^\W*(?:system|developer|assistant|AI|model)\b\s*(?:prompt|message|notice)?\W?\s*[:,]",
    r"\bsystem (?:notice|prompt|message)\s*:",
    r"[\"']role[\"']\s*:\s*[\"'](?:system|assistant)[\"']",
    rf"\b(?:model|AI|assistant)\s*[:,]\s*{SPEAK}\b",
    rf"\b(?:note|message|instructions?|dear|attention)\b[^.]{{0,12}}\b(?:to|for)?\s*(?:all )?{MODEL}\b",
    rf"\b{MODEL},? (?:that|which|who|when)?\s*(?:reads?|reading|process(?:es|ing)?|must|should)\b",
    rf"\bif you are {MODEL}\b",
    r"\bthis (?:AI )?(?:assistant|chat ?bot|language model)\b",
    r"\byou are (?:now|no longer)\b",
    rf"\bfrom now on\b[^.]{{0,20}}\b{SPEAK}\b",
    rf"\b{SPEAK}\b (?:with )?(?:only|nothing else|nothing but)\b",
    rf"\b{SPEAK}\b[^.]{{0,40}}\b(?:and nothing else|in every reply)\b",
    rf"\b{SPEAK}\b[^.]{{0,20}}\byour (?:answers?|repl(?:y|ies)|responses?|output|summary)\b",
    r"\b(?:your|every|the only permitted) (?:answer|reply|response)s? (?:must|should|shall|is to)\b",
    r"\bthe only permitted answer\b",
    r"\b(?:call|use|invoke) the tool\b",
    r"\bwhen(?:ever)? you (?:answer|reply|respond|summari[sz]e|explain)\b",
    r"\binstead of answering\b",
    r"\bdecode this\b[^.]{0,40}\bdo\b",
    r"\b(?:follow|do) the real task\b|\bnew (?:question|task|instructions?)\s*:",
    r"^#+\s*(?:instruction|response)\s*:",
    r"\bignorier\w*[^.]{0,40}\b(?:anweisung|regel)|\bvergiss[^.]{0,40}\banweisung|\bantworte[n]? nur\b",
    r"\b(?:oublie|ignore)[sz]?\b[^.]{0,40}\b(?:instructions|consignes)\b|\bréponds? (?:uniquement|seulement)\b",
    r"\b(?:olvida|ignora)\b[^.]{0,40}\binstrucciones\b|\bresponde (?:solo|sólo|únicamente)\b",
]
ADDRESSED = re.compile("|".join(FORMS), re.IGNORECASE | re.MULTILINE)
PARAGRAPH = re.compile(r"\n\s*\n")


def without_instructions(hits: Sequence[Hit]) -> tuple[list[Hit], list[Hit]]:
    """The hits, with `[…]` for what is addressed to a model, and those of them that had such text.

    What is withheld goes from the sentence that is addressed to a model to the end of its paragraph. Lines stay where
    they are.
    """
    cleaned = [replace(hit, text=_cleaned(hit.text), heading=_cleaned(hit.heading)) for hit in hits]
    changed = [hit for hit, clean in zip(hits, cleaned, strict=True) if clean != hit]
    return cleaned, changed


def _cleaned(text: str) -> str:
    parts: list[str] = []
    at = 0
    for gap in [*PARAGRAPH.finditer(text), None]:
        end = gap.start() if gap else len(text)
        parts.append(_paragraph(text[at:end]))
        if gap:
            parts.append(gap[0])
            at = gap.end()
    return "".join(parts)


def _paragraph(text: str) -> str:
    starts = sorted(
        {0, *(match.end() for match in SENTENCE_END.finditer(text)), *(mark.start() for mark in CONTROL.finditer(text))}
    )
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if ADDRESSED.search(text[start:end]) or CONTROL.match(text, start):
            rest = text[start:]
            return f"{text[:start]}{WITHHELD}" + "\n" * rest.count("\n")
    return text
