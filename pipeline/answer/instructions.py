"""Text in documents that speaks to a language model instead of a reader: found, and withheld from the model. Pure.

In: hits. Out: the same hits without such text, and how many had some. docs/answering.md says what this catches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.answer.sentences import SENTENCE_END
from pipeline.types import Hit

WITHHELD = "[…]"

MODEL = r"(?:an? )?(?:AIs?|AI (?:assistants?|models?|systems?)|(?:large )?language models?|LLMs?|chat ?bots?)"
SPEAK = r"(?:repl(?:y|ies)|respond|answer|output|print|write|say|begin|start|end|append|repeat|include|mention|add)"
EARLIER = r"(?:(?:all|any|of|the|your|these|those|previous|prior|above|earlier|preceding|other|former) )+"
FORMS = [
    # 1. What the model was told is taken back.
    rf"\b(?:ignore|disregard|forget|override) {EARLIER}(?:instructions?|prompts?|directions?|sources?|question)\b",
    r"\b(?:ignore|disregard|forget) (?:the sources|the question|everything above|all (?:of )?the above)\b",
    r"\bthe (?:real task|question has been answered)\b|\bnew (?:system prompt|instructions?)\s*:",
    # 2. Somebody speaks to a model.
    r"^\W*(?:(?:system|developer|model)\W{0,2}:|(?:assistant|AI)\W{0,2}[:,])\s*"
    rf"(?:[^.\n]{{0,60}}\b(?:you|your|rule|disregard|ignore|instructions?)\b|{SPEAK}\b)",
    rf"\b(?:AI|assistant|chat ?bot|model)s?\s*[:,]\s*(?:please |always |never |now )*{SPEAK}\b",
    rf"\b(?:note|message|dear|attention)\b[^.]{{0,12}}\b(?:to|for)? ?(?:all )?{MODEL}\b",
    rf"\b{MODEL} (?:(?:that|which|who) )?(?:reads?|reading|process(?:es|ing)?) this\b",
    rf"\bif you are {MODEL}\b|\bdeveloper of this (?:assistant|chat ?bot|model)\b",
    rf"\byou are (?:now|no longer) (?:{MODEL}|an? assistant|in \w+ mode|(?-i:[A-Z]{{3}}))",
    r"^\W*system notice\s*:|\bimportant system (?:notice|message)\b",
    # 3. It is told what to say.
    rf"\bfrom now on,? (?:you )?(?:must |always |only )*{SPEAK}\b",
    r"\b(?:reply|respond|answer) (?:only with|with only|with nothing but)\b|\boutput only (?:that|this|the word)\b",
    r"\b(?:reply|respond|answer|output|print|write|say) (?:with )?\S+ and nothing else\b|\bsay so in every reply\b",
    r"\b(?:begin|start|end|prefix) (?:your|each|every) (?:answers?|repl(?:y|ies)|responses?)\b",
    r"\bevery (?:answer|reply|response) (?:must|should|shall)\b|\bthe only permitted answer\b",
    rf"\bwhen(?:ever)? you (?:answer|reply|respond),? (?:please )?{SPEAK}\b|\binstead of answering\b",
    r"\bdecode this\b[^.]{0,40}\bdo\b|\byou must call the (?:tool|function)\b",
    r"\b(?:repeat|reveal|print) (?:the |your )?(?:text|words|system prompt|instructions) above\b",
    # 4. The forms of chat templates and requests, and of their imitations.
    r"[\"']role[\"']\s*:\s*[\"']system[\"']",
    r"^#{2,4} ?(?:instruction|response)\s*:",
    # 5. The same in other languages.
    r"\bignorier\w* [^.]{0,30}\banweisung|\bvergiss [^.]{0,30}\banweisung|\bantworte[n]? nur mit\b",
    r"\b(?:oublie|ignore)[sz]? les (?:instructions|consignes)\b|\bréponds? (?:uniquement|seulement)\b",
    r"\b(?:olvida|ignora) (?:todas )?las (?:instrucciones|órdenes)\b|\bresponde (?:solo|sólo|únicamente) con\b",
]
ADDRESSED = re.compile("|".join(FORMS), re.IGNORECASE | re.MULTILINE)
TEMPLATE = re.compile(
    r"<[|｜]\w|\[/?INST\]|<<?/?SYS>|<(?:start|end)_of_turn>|</?tool_call>|</source key", re.IGNORECASE
)
"""Control tokens that stand in no document by chance; what follows them is meant for a model."""

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
        {
            0,
            *(match.end() for match in SENTENCE_END.finditer(text)),
            *(mark.start() for mark in TEMPLATE.finditer(text)),
        }
    )
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if ADDRESSED.search(text[start:end]) or TEMPLATE.match(text, start):
            rest = text[start:]
            return f"{text[:start]}{WITHHELD}" + "\n" * rest.count("\n")
    return text
