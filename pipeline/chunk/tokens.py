"""Counting tokens as the embedding model does, so that no chunk is cut by the server.

In: a vocabulary (from `/api/show` with `verbose`), texts. Out: for each word-like piece of a text its position and how
many tokens it takes. The text is looked at once; spans are then costed by prefix sums.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from pipeline.chunk.sums import Pieces, code_points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD_START = "\u2581"
CONTINUATION = "##"
CACHED_WORDS = 200_000
CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f"
PUNCTUATION = (
    "!-/:-@\\[-`{-~\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf"
    "\u2010-\u2027\u2030-\u205e\u3001-\u301f\uff01-\uff0f\uff1a-\uff20"
)
LONGEST_PIECE = 40
"""A word beyond the longest piece is counted in parts: a little more than the model counts, never less by much."""
PIECES = re.compile(rf"[{CJK}{PUNCTUATION}]|[^\s{CJK}{PUNCTUATION}]{{1,{LONGEST_PIECE}}}")
IS_CJK = re.compile(f"[{CJK}]")
BY_CHARACTER = Pieces(re.compile(f"[{CJK}{PUNCTUATION}]"), LONGEST_PIECE)


class TokenCounter(Protocol):
    """`exact` says whether the counts are the model's own, or an estimate that the server's checks have to catch."""

    exact: bool

    def pieces(self, text: str) -> Iterator[tuple[int, int]]:
        """(offset, tokens) of each piece of `text` in order; white space costs nothing and belongs to no piece."""
        ...

    def sums(self, text: str) -> NDArray[np.int32]:
        """Shape (len(text) + 1,): the tokens of the pieces that start before each offset."""
        ...

    def count(self, text: str) -> int:
        """Tokens of the whole text, without the special tokens that the server adds."""
        ...


class WordPieceCounter:
    """BERT's WordPiece: lower case, no accents, CJK characters and punctuation apart, then greedy longest match.

    Source: Devlin et al. 2018 and google-research/bert `tokenization.py`; without its limit on the length of words,
    as in llama.cpp. A vocabulary marks continuations with `##`, or, as GGUF files do, word starts with U+2581.
    """

    exact = True

    def __init__(self, vocabulary: Sequence[str]) -> None:
        if any(token.startswith(WORD_START) for token in vocabulary):
            self._starts = {token[1:] for token in vocabulary if token.startswith(WORD_START)}
            self._rests = {token for token in vocabulary if not token.startswith(WORD_START)}
        else:
            self._starts = {token for token in vocabulary if not token.startswith(CONTINUATION)}
            self._rests = {token[len(CONTINUATION) :] for token in vocabulary if token.startswith(CONTINUATION)}
        self._longest = max((len(token) for token in self._starts | self._rests), default=1)
        self._cache: dict[str, int] = {}

    def pieces(self, text: str) -> Iterator[tuple[int, int]]:
        cache = self._cache
        for match in PIECES.finditer(text):
            piece = match[0]
            tokens = cache.get(piece)
            if tokens is None:
                if len(cache) >= CACHED_WORDS:
                    cache.clear()
                tokens = cache[piece] = self._count_piece(piece)
            yield match.start(), tokens

    def sums(self, text: str) -> NDArray[np.int32]:
        import numpy as np  # noqa: PLC0415 - heavy

        pieces = PIECES.findall(text)
        cache = self._cache
        for piece in set(pieces).difference(cache):
            cache[piece] = self._count_piece(piece)
        single, starts, _ = BY_CHARACTER.words(text)
        starting = single
        starting[starts] = True
        costs = np.zeros(len(text) + 1, np.int32)
        costs[1:][starting] = [cache[piece] for piece in pieces]
        if len(cache) >= CACHED_WORDS:
            cache.clear()
        return np.cumsum(costs, dtype=np.int32)

    def count(self, text: str) -> int:
        return sum(tokens for _, tokens in self.pieces(text))

    def _count_piece(self, piece: str) -> int:
        return sum(self._match(word) for word in _words(piece))

    def _match(self, word: str) -> int:
        """Tokens of one word by greedy longest match; a word that cannot be matched whole is one unknown token."""
        position, tokens, known = 0, 0, self._starts
        while position < len(word):
            end = min(len(word), position + self._longest)
            while end > position and word[position:end] not in known:
                end -= 1
            if end == position:
                return 1
            position, tokens, known = end, tokens + 1, self._rests
        return tokens


class EstimateCounter:
    """For tokenizers that are not known: one token for every three bytes of a word, one for any other character.

    Byte-pair vocabularies of 30,000 tokens and more need fewer on prose in Latin script; the server has the last word.
    """

    exact = False

    def pieces(self, text: str) -> Iterator[tuple[int, int]]:
        for match in PIECES.finditer(text):
            yield match.start(), (len(match[0].encode("utf-8", "surrogatepass")) + 2) // 3

    def sums(self, text: str) -> NDArray[np.int32]:
        import numpy as np  # noqa: PLC0415 - heavy

        single, starts, ends = BY_CHARACTER.words(text)
        costs = np.zeros(len(text) + 1, np.int32)
        if text.isascii():
            costs[1:] = single
            lengths = ends - starts
        else:
            codes = code_points(text)
            widths = 1 + (codes >= 0x80).astype(np.int32) + (codes >= 0x800) + (codes >= 0x10000)
            costs[1:] = single * ((widths + 2) // 3)
            before = np.concatenate(([0], np.cumsum(widths)))
            lengths = before[ends] - before[starts]
        costs[starts + 1] = (lengths + 2) // 3
        return np.cumsum(costs, dtype=np.int32)

    def count(self, text: str) -> int:
        return sum(tokens for _, tokens in self.pieces(text))


def token_counter(vocabulary: Sequence[str] | None) -> TokenCounter:
    """The exact counter for a WordPiece vocabulary, the estimate without one."""
    return WordPieceCounter(vocabulary) if vocabulary else EstimateCounter()


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
