"""Byte-pair encoding, as GPT-2 has it: how many tokens a text takes, from the model's list of merges.

In: the merges and the name of the rules by which a text is split into words (`tokenizer.ggml.pre`). Out: counts. No
merge reaches beyond a word, so each different word is encoded once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain, pairwise

CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"
ANY_CASE_CONTRACTIONS = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
GPT2 = CONTRACTIONS + r"| ?{L}+| ?{N}+| ?[^{s}{l}{n}]+|[{s}]+(?![^{s}])|[{s}]+"
# Digits are taken out first, one by one, so that white space before one is whole, as at the end of a text.
SINGLE_DIGITS = r"{N}|" + CONTRACTIONS + r"| ?{L}+| ?[^{s}{l}{n}]+|[{s}]+(?={N})|[{s}]+(?![^{s}])|[{s}]+"
BY_LINE = (
    ANY_CASE_CONTRACTIONS + r"|[^\r\n{l}{n}]?{L}+|{N}%s| ?[^{s}{l}{n}]+[\r\n]*|[{s}]*[\r\n]+|[{s}]+(?![^{s}])|[{s}]+"
)
QWEN2 = BY_LINE % ""
LLAMA3 = BY_LINE % "{{1,3}}"
SPLITS = {
    **dict.fromkeys(("gpt-2", "phi-2", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de"), GPT2),
    **dict.fromkeys(("jina-v2-code", "roberta-bpe", "modern-bert", "gigachat", "mellum", "mpt", "olmo", "jais"), GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"), SINGLE_DIGITS),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "hunyuan"), QWEN2),
    **dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2"), LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"), LLAMA3),
}
"""Rules by the names that llama.cpp gives them (`llm_tokenizer_bpe` in its `llama-vocab.cpp`)."""
WHOLE_WORDS = frozenset(("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2"))
"""Under these rules a word of the vocabulary is a token, whatever the merges make of it."""

PLANES = (0x80, 0x10000, 0x110000)
LAST_LETTER = 0x3FFFF
"""Beyond it are no letters and no digits."""
# White space by Unicode's property, as llama.cpp has it; Python's \s has four control characters more.
WHITE_SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"


def word_splitter(rules: str, longest: int) -> Callable[[str], list[str]]:
    """Splits a text into words by one of SPLITS, with nothing between them; those longer than `longest` in parts."""

    def split(text: str) -> list[str]:
        # Classes of few characters are looked up faster.
        last = 0x7F if text.isascii() else ord(max(text))
        words = _pattern(SPLITS[rules], next(end for end in PLANES if last < end)).findall(text)
        if max(map(len, words), default=0) > longest:
            parts = ([word[at : at + longest] for at in range(0, len(word), longest)] for word in words)
            return list(chain.from_iterable(parts))
        return words

    return split


class BytePairs:
    """Encodes words by `merges`, `left right` each, the first ones first; bytes are written as GPT-2 writes them.

    Source: Sennrich et al. 2016 and openai/gpt-2 `encoder.py`.
    """

    def __init__(self, merges: Sequence[str], whole_words: Sequence[str] = ()) -> None:
        self._ranks = {merge: rank for rank, merge in enumerate(merges)}
        self._whole = frozenset(whole_words)

    def count(self, word: str) -> int:
        """Tokens of one word."""
        symbols = [_written_bytes()[byte] for byte in word.encode("utf-8", "surrogatepass")]
        if self._whole and "".join(symbols) in self._whole:
            return 1
        while len(symbols) > 1:
            ranked = [self._ranks.get(f"{left} {right}", len(self._ranks)) for left, right in pairwise(symbols)]
            best = min(ranked)
            if best == len(self._ranks):
                break
            symbols = _merged(symbols, ranked, best)
        return len(symbols)


def _merged(symbols: list[str], ranked: list[int], best: int) -> list[str]:
    """The symbols with every pair of rank `best` as one, from the left."""
    merged: list[str] = []
    at = 0
    while at < len(symbols):
        if at < len(ranked) and ranked[at] == best:
            merged.append(symbols[at] + symbols[at + 1])
            at += 2
        else:
            merged.append(symbols[at])
            at += 1
    return merged


@cache
def _written_bytes() -> list[str]:
    """How vocabularies write each byte: printable ones as themselves, the others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


@cache
def _pattern(rules: str, end: int) -> re.Pattern[str]:
    """For texts whose code points are below `end`."""
    letters, numbers = _ranges("L", end), _ranges("N", end)
    return re.compile(rules.format(L=f"[{letters}]", N=f"[{numbers}]", l=letters, n=numbers, s=WHITE_SPACE))


@cache
def _ranges(kind: str, end: int) -> str:
    """The code points below `end` of a general category, as the inside of a character class."""
    ranges: list[list[int]] = []
    for code in range(min(end, LAST_LETTER + 1)):
        if unicodedata.category(chr(code))[0] != kind:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
