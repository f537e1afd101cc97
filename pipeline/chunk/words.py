"""The words of a text by NumPy, a character at a time, several times as fast as by a pattern.

In: a text. Out: where its words start and end, and which characters stand for themselves.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

    import numpy as np
    from numpy.typing import NDArray

SPACE, SINGLE, WORD = 0, 1, 2
ASCII, CODE_POINTS = 0x80, 0x110000
LAST_SPACE, LAST_SINGLE = 0x3000, 0x2FFFF
"""The last character that Unicode counts as white space, and one beyond which none stands for itself."""


class Words:
    """Where the words of texts start and end: runs of characters that are no `single` ones, at most `longest` long."""

    def __init__(self, single: re.Pattern[str], longest: int) -> None:
        self._single = single
        self._longest = longest

    def words(self, text: str) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """(len(text),) whether a single character stands there; starts of the words in order; their ends."""
        import numpy as np  # noqa: PLC0415 - heavy

        kinds = _kinds(self._single, ASCII if text.isascii() else CODE_POINTS)[code_points(text)]
        edges = np.flatnonzero(np.diff(kinds == WORD, prepend=False, append=False))
        starts, ends = edges[::2], edges[1::2]
        if len(starts) and int((ends - starts).max()) > self._longest:
            starts, ends = self._in_parts(starts, ends)
        return kinds == SINGLE, starts, ends

    def of_short_ascii(self, text: str) -> tuple[int, list[int]]:
        """Single characters, and the lengths of the words, of an ASCII text: sooner than NumPy where it is short."""
        marked = text.encode("ascii").translate(_marks(self._single))
        lengths = [len(word) for word in marked.replace(b"!", b" ").split()]
        if lengths and max(lengths) > self._longest:
            lengths = [min(self._longest, left) for length in lengths for left in range(length, 0, -self._longest)]
        return marked.count(b"!"), lengths

    def _in_parts(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        import numpy as np  # noqa: PLC0415 - heavy

        parts = -(-(ends - starts) // self._longest)
        nth = np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)
        cut = np.repeat(starts, parts) + nth * self._longest
        return cut, np.minimum(cut + self._longest, np.repeat(ends, parts))


def code_points(text: str) -> NDArray[np.uint8] | NDArray[np.uint32]:
    import numpy as np  # noqa: PLC0415 - heavy

    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@cache
def _kinds(single: re.Pattern[str], count: int) -> NDArray[np.uint8]:
    """What each of the first code points is."""
    import numpy as np  # noqa: PLC0415 - heavy

    kinds = np.full(count, WORD, np.uint8)
    kinds[[code for code in range(min(count, LAST_SPACE + 1)) if chr(code).isspace()]] = SPACE
    scanned = "".join(map(chr, range(min(count, LAST_SINGLE + 1))))
    kinds[[match.start() for match in single.finditer(scanned)]] = SINGLE
    return kinds


@cache
def _marks(single: re.Pattern[str]) -> bytes:
    """For `bytes.translate`: a space, an exclamation mark for what stands for itself, a letter for what is in words."""
    return bytes(b" !w"[kind] for kind in _kinds(single, ASCII)).ljust(256, b" ")
