"""Code in an answer, hidden while its citations are read: brackets in it are no citations, and no mark belongs in it.

In: the text that a model wrote, the passages it was given. Out: the text with a character for each piece of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.types import Passage

SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)\1(?!`)", re.DOTALL)
MAY_HOLD_BLOCKS = re.compile(r"^\s*(?:[>*+-]\s*|\d+[.)]\s*)*(?:```|~~~| {4}|\t)", re.MULTILINE)
NUMBERS = r"\[\d+(?:[ \t]*,[ \t]*\d+)*\]"
AFTER_A_WORD = re.compile(rf"(?<=[\w\])])(?:{NUMBERS})+")
MARK_BEFORE = re.compile(r"[\[【](?:source\s*)?\d[^\[\]【】]*[\]】]$", re.IGNORECASE)
CALL_BEFORE = re.compile(r"\w\((?!e?s\))[^()\n]*\)$")
NAME_BEFORE = re.compile(r"[^\W\d][\w$]*$")
SHAPED_AS_A_NAME = re.compile(r"(?:\w_\w|\w\.[^\W\d]|[a-z][A-Z]|[$@])[\w.$@]*$")
GOES_ON_AS_CODE = re.compile(r"\.(?-i:[a-z_])|\(|\[(?!source)|[ \t]*[-+*/%|&^=]?=", re.IGNORECASE)
SENTENCE_GOES_ON = re.compile(r"[ \t]+(?:[a-z]|[-+*/%<>|&])")
INDEXED = re.compile(r"([^\W\d][\w$]*)\[(?:0|-\d+|\d*:-?\d*|[^\W\d]\w*|\"[^\"\n]*\"|'[^'\n]*')\]")
INDEXED_IN_CODE = re.compile(r"([^\W\d][\w$]*)\[")
FIRST_STAND_IN = 0x100000
"""Stand-ins are of a private plane of Unicode: no words, no spaces, no numbers, and in no text that means anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenCode:
    """`text` has one character for each piece of code; `blocks` holds those that stand for whole lines."""

    text: str
    blocks: frozenset[str]
    pieces: dict[int, str]

    def shown(self, text: str) -> str:
        """`text`, or a part of it, with the code put back."""
        return text.translate(self.pieces)


def hide_code(text: str, passages: Sequence[Passage]) -> HiddenCode:
    """Hides code blocks, code spans, and numbers in brackets that index something instead of citing a passage."""
    stand_ins = _stand_ins(text)
    pieces: dict[int, str] = {}

    def hide(code: str) -> str:
        stand_in = next(stand_ins)
        pieces[ord(stand_in)] = code
        return stand_in

    lines = text.split("\n")
    blocks: set[str] = set()
    for start, end in reversed(_block_lines(text)):
        block = hide("\n".join(lines[start:end]))
        blocks.add(block)
        lines[start:end] = [block]
    hidden = SPAN.sub(lambda match: hide(match[0]), "\n".join(lines))
    if AFTER_A_WORD.search(hidden):
        numbers = {passage.number for passage in passages}
        names = _indexed_names(hidden, pieces.values(), passages)
        hidden = AFTER_A_WORD.sub(
            lambda match: hide(match[0]) if _indexes(match, numbers=numbers, names=names) else match[0], hidden
        )
    return HiddenCode(text=hidden, blocks=frozenset(blocks), pieces=pieces)


def _stand_ins(text: str) -> Iterator[str]:
    taken = set(text)
    return (chr(code) for code in range(FIRST_STAND_IN, 0x10FFFE) if chr(code) not in taken)


def _block_lines(text: str) -> list[tuple[int, int]]:
    """First line and line after the last of each fenced or indented block, by the rules of CommonMark."""
    if not MAY_HOLD_BLOCKS.search(text):
        return []
    from markdown_it import MarkdownIt  # noqa: PLC0415 - heavy

    # The parser takes a lone \r as a line end; here lines end at \n only.
    tokens = MarkdownIt("commonmark").parse(text.replace("\r", " "))
    return [(token.map[0], token.map[1]) for token in tokens if token.type in ("fence", "code_block") and token.map]


def _indexes(match: re.Match[str], *, numbers: set[int], names: set[str]) -> bool:
    """Whether brackets that follow a word without a space index it, as in `items[1]`, or cite, as in `days[1].`"""
    before, after = match.string[: match.start()], match.string[match.end() :]
    if before.endswith("]"):
        return MARK_BEFORE.search(before) is None
    if before.endswith(")"):
        return CALL_BEFORE.search(before) is not None
    if int(re.findall(r"\d+", match[0])[0]) not in numbers or GOES_ON_AS_CODE.match(after):
        return True
    name = NAME_BEFORE.search(before)
    if name is not None and name[0] in names:
        return True
    return bool(SHAPED_AS_A_NAME.search(before) and SENTENCE_GOES_ON.match(after))


def _indexed_names(hidden: str, code: Iterable[str], passages: Sequence[Passage]) -> set[str]:
    """Words that the answer or the passages show being indexed, by more than what could be a citation."""
    texts = [hidden, *(passage.hit.text for passage in passages)]
    names = {name for text in texts for name in INDEXED.findall(text)}
    code = [*code, *(span[0] for passage in passages for span in SPAN.finditer(passage.hit.text))]
    return names | {name for piece in code for name in INDEXED_IN_CODE.findall(piece)}
