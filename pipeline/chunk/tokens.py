"""Counting tokens as the embedding model does, so that no chunk is cut by the server.

In: a tokenizer (from `/api/show` with `verbose`), texts. Out: the pieces that make up a text and how many tokens each
takes. The text is looked at once; spans are then costed by prefix sums.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from pipeline.chunk.byte_pairs import SPLITS, WHOLE_WORDS, BytePairs, word_splitter
from pipeline.chunk.words import Words, code_points

WORD_START = "\u2581"
CONTINUATION = "##"
REMEMBERED_PIECES = 200_000
CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f"
PUNCTUATION = (
    "!-/:-@\\[-`{-~\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf"
    "\u2010-\u2027\u2030-\u205e\u3001-\u301f\uff01-\uff0f\uff1a-\uff20"
)
LONGEST_PIECE = 40
"""A word beyond the longest piece is counted in parts: a little more than the model counts, never less."""
WORD = re.compile(rf"[^\s{CJK}{PUNCTUATION}]+")
WORDS = re.compile(rf"[{CJK}{PUNCTUATION}]|[^\s{CJK}{PUNCTUATION}]+")
TILES = re.compile(
    rf"[^\s{CJK}{PUNCTUATION}]{{1,{LONGEST_PIECE}}}[{PUNCTUATION}]{{0,8}}\s{{0,16}}"
    rf"|[{PUNCTUATION}]{{1,8}}\s{{0,16}}|[{CJK}]\s{{0,16}}|\s{{1,64}}"
)
"""Cuts a text into pieces with nothing between them: a word with the punctuation and white space that follow it.

Bounded, as each different piece is remembered with its count.
"""
SHORT = 1000
"""Characters up to which a text, such as a heading, is counted before NumPy has well begun."""
BY_CHARACTER = Words(re.compile(f"[{CJK}{PUNCTUATION}]"), LONGEST_PIECE)
IS_CJK = re.compile(f"[{CJK}]")


WORD_PIECE, BYTE_PAIRS = "bert", "gpt2"
"""Kinds of tokenizers, as `tokenizer.ggml.model` names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """What a server hands out of a model's tokenizer: its kind, its tokens, and for byte pairs the merges and the name
    of the rules by which texts are split into words."""

    kind: str
    tokens: Sequence[str]
    merges: Sequence[str] = ()
    split: str = ""


class TokenCounter(Protocol):
    """`exact` says whether the counts are the model's own, or an estimate that the server's checks have to catch."""

    exact: bool

    def pieces(self, text: str) -> tuple[list[int], list[int]]:
        """The pieces of a text in order, with nothing between them but white space: starts, and tokens of each."""
        ...

    def count(self, text: str) -> int:
        """Tokens of the whole text, without the special tokens that the server adds."""
        ...


class _Remembered(dict[str, int]):
    """Counts by piece; one that is not known is counted once, and all are forgotten when there are too many."""

    def __init__(self, count: Callable[[str], int]) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, piece: str) -> int:
        if len(self) >= REMEMBERED_PIECES:
            self.clear()
        tokens = self[piece] = self._count(piece)
        return tokens


class TiledCounter:
    """Counts by pieces that `split` tiles a text with, each counted once by `count_piece`."""

    def __init__(self, split: Callable[[str], list[str]], count_piece: Callable[[str], int]) -> None:
        self._split = split
        self._remembered = _Remembered(count_piece)

    def pieces(self, text: str) -> tuple[list[int], list[int]]:
        found = self._split(text)
        offsets = list(accumulate(map(len, found), initial=0))
        offsets.pop()
        tokens = list(map(self._remembered.__getitem__, found))
        if max(map(len, found), default=0) >= LONGEST_PIECE:
            self._correct(found, tokens)
        return offsets, tokens

    def count(self, text: str) -> int:
        return sum(self.pieces(text)[1])

    def _correct(self, found: list[str], tokens: list[int]) -> None:
        """Raises in `tokens` what parts of words longer than the longest piece cost more than words of their own."""


class WordPieceCounter(TiledCounter):
    """BERT's WordPiece: lower case, no accents, CJK characters and punctuation apart, then greedy longest match.

    Source: Devlin et al. 2018 and google-research/bert `tokenization.py`; without its limit on the length of words,
    as in llama.cpp. A vocabulary marks continuations with `##`, or, as GGUF files do, word starts with U+2581.
    """

    exact = True

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__(TILES.findall, self._count_piece)
        if any(token.startswith(WORD_START) for token in vocabulary):
            self._starts = {token[1:] for token in vocabulary if token.startswith(WORD_START)}
            self._rests = {token for token in vocabulary if not token.startswith(WORD_START)}
        else:
            self._starts = {token for token in vocabulary if not token.startswith(CONTINUATION)}
            self._rests = {token[len(CONTINUATION) :] for token in vocabulary if token.startswith(CONTINUATION)}
        self._longest = max((len(token) for token in self._starts | self._rests), default=1)
        self._words = _Remembered(self._count_word)

    def _count_piece(self, piece: str) -> int:
        return sum(map(self._words.__getitem__, WORDS.findall(piece)))

    def _count_word(self, word: str) -> int:
        return sum(self._match(part, self._starts) for part in _words(word))

    def _correct(self, found: list[str], tokens: list[int]) -> None:
        inside = False
        for number, piece in enumerate(found):
            if inside and (rest := WORD.match(piece)):
                as_rest = sum(self._match(part, self._rests) for part in _words(rest[0]))
                tokens[number] = max(tokens[number], as_rest + self._count_piece(piece[rest.end() :]))
            inside = len(piece) == LONGEST_PIECE and WORD.fullmatch(piece) is not None
            tokens[number] += inside

    def _match(self, word: str, known: set[str]) -> int:
        """Tokens of one word by greedy longest match; a word that cannot be matched whole is one unknown token."""
        position, tokens = 0, 0
        while position < len(word):
            end = min(len(word), position + self._longest)
            while end > position and word[position:end] not in known:
                end -= 1
            if end == position:
                return 1
            position, tokens, known = end, tokens + 1, self._rests
        return tokens


class BytePairCounter(TiledCounter):
    """Byte-pair encoding. Raises KeyError for rules of splitting that are not known."""

    exact = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        pairs = BytePairs(tokenizer.merges, tokenizer.tokens if tokenizer.split in WHOLE_WORDS else ())
        super().__init__(word_splitter(tokenizer.split, LONGEST_PIECE), pairs.count)

    def _correct(self, found: list[str], tokens: list[int]) -> None:
        for number, piece in enumerate(found):
            tokens[number] += len(piece) == LONGEST_PIECE


class EstimateCounter:
    """For tokenizers that are not known: one token for every three bytes of a word, one for any other character.

    Byte-pair vocabularies of 30,000 tokens and more need fewer on prose in Latin script; the server has the last word.
    """

    exact = False

    def pieces(self, text: str) -> tuple[list[int], list[int]]:
        import numpy as np  # noqa: PLC0415 - heavy

        single, starts, ends = BY_CHARACTER.words(text)
        costs = np.zeros(len(text), np.int32)
        if text.isascii():
            costs[:] = single
            lengths = ends - starts
        else:
            codes = code_points(text)
            widths = 1 + (codes >= 0x80).astype(np.int32) + (codes >= 0x800) + (codes >= 0x10000)
            costs[:] = single * ((widths + 2) // 3)
            before = np.concatenate(([0], np.cumsum(widths)))
            lengths = before[ends] - before[starts]
        costs[starts] = (lengths + 2) // 3
        offsets = np.flatnonzero(costs)
        return offsets.tolist(), costs[offsets].tolist()

    def count(self, text: str) -> int:
        if len(text) > SHORT or not text.isascii():
            return sum(self.pieces(text)[1])
        singles, lengths = BY_CHARACTER.of_short_ascii(text)
        return singles + sum([(length + 2) // 3 for length in lengths])


def token_counter(tokenizer: Tokenizer | None) -> TokenCounter:
    """The exact counter for a tokenizer whose rules are known, else the estimate."""
    if tokenizer is not None and tokenizer.kind == WORD_PIECE and tokenizer.tokens:
        return WordPieceCounter(tokenizer.tokens)
    if tokenizer is not None and tokenizer.kind == BYTE_PAIRS and tokenizer.merges and tokenizer.split in SPLITS:
        return BytePairCounter(tokenizer)
    return EstimateCounter()


def _words(piece: str) -> list[str]:
    """A piece as llama.cpp's basic tokenizer splits it: of a character's canonical decomposition it keeps the first."""
    if piece.isascii():
        return [piece.lower()]
    words: list[str] = []
    current = ""
    for composed in piece.lower():
        character = unicodedata.normalize("NFD", composed)[0]
        category = unicodedata.category(character)
        if category[0] == "M" or category in ("Cc", "Cf", "Co", "Cs") or character == "\ufffd":
            continue
        if IS_CJK.match(character) or category[0] == "P":
            words.extend(word for word in (current, character) if word)
            current = ""
        else:
            current += character
    return [*words, current] if current else words
