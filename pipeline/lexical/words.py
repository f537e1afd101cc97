"""Text -> the terms by which it is found: words without their endings, identifiers whole and in parts, n-grams. Pure.

In: a text and the language of its Latin words. Out: terms, and the places of words in the text. What is searched and
what is searched for go through the same rules, so that they meet.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache

ANALYSIS_VERSION = 1
"""Counts up when the rules change, so that an index made by others is made again."""

DEFAULT_LANGUAGE = "english"
UNSTEMMED = ""
"""The language of texts whose words are kept as they are."""

LONGEST_TERM = 64
"""Characters of a run of letters and digits that count; encoded data would otherwise fill the index."""
LONGEST_NAME = 128
"""Characters of a name with dots and slashes up to which it is a term as a whole."""
REMEMBERED = 50_000
LONGEST_REMEMBERED_RUN = 4

LANGUAGES = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""ISO 639-1 codes and the Snowball algorithms (https://snowballstem.org) that take endings off their words."""

SCRIPTS = (
    (re.compile("[\u0370-\u03ff\u1f00-\u1fff]"), ("greek",)),
    (re.compile("[\u0400-\u052f]"), ("russian", "serbian")),
    (re.compile("[\u0530-\u058f]"), ("armenian",)),
    (re.compile("[\u0590-\u05ff]"), ("yiddish",)),
    (re.compile("[\u0600-\u06ff\u0750-\u077f]"), ("arabic", "persian")),
    (re.compile("[\u0900-\u097f]"), ("hindi", "nepali")),
    (re.compile("[\u0b80-\u0bff]"), ("tamil",)),
)
"""Scripts that tell the language of a word whatever its document is in: the first, unless the document says another."""

# Scripts without spaces between words, and Hangul, whose words carry endings of their own.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
JOINERS = r"[._\-/:@'’+#&\\]"
WORD_PUNCTUATION = "._-/:@'+#&\\,"
"""The ASCII characters beside letters and digits that may be in a word."""
# The pieces of an identifier: HTTPServer2 -> HTTP, Server, 2.
HUMPS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
VERSION = re.compile(r"v([0-9]+(?:\.[0-9]+)*)")
ACCENTS = re.compile("[\u0300-\u036f]+")
APOSTROPHES = re.compile("['’]")
INNER = re.compile("[-_'’,]")
"""Joiners that writers of the same name may leave out."""
MOST_HUMPS = 6

# General categories of letters, numbers and marks, as `unicodedata.category` names them.
WORD_CATEGORIES = re.compile("(?:[LNM][a-z])+")

_ENDLESS = WORD_PUNCTUATION.replace("+", "").replace("#", "")


@lru_cache(maxsize=1)
def word_characters() -> str:
    """Letters, digits and marks of scripts with spaces between words, as the inside of a character class."""
    runs: list[str] = []
    for codes in _spaced_codes():
        # Two letters for each code point, so the place in the text tells which one it is.
        categories = "".join(map(unicodedata.category, map(chr, codes)))
        for run in WORD_CATEGORIES.finditer(categories):
            runs.append(f"\\u{codes[run.start() // 2]:04x}-\\u{codes[run.end() // 2 - 1]:04x}")
    return "".join(runs) + "\U00010000-\U0001efff"


def _spaced_codes() -> Iterator[range]:
    """Code points of the basic plane that UNSPACED does not name."""
    code = 0
    for first, last in re.findall("(.)-(.)", UNSPACED):
        yield range(code, min(ord(first), 0x10000))
        code = ord(last) + 1


@lru_cache(maxsize=1)
def word_pattern() -> re.Pattern[str]:
    """Matches what counts as one word: a name with its joiners (`os.path`, `v1.2`, `C++`), or an unspaced run."""
    run = f"[{word_characters()}]+"
    return re.compile(rf"{run}(?:(?:{JOINERS}{{1,3}}|(?<=[0-9]),(?=[0-9])){run})*(?:\+\+|#)?|[{UNSPACED}]+")


@lru_cache(maxsize=1)
def _run_pattern() -> re.Pattern[str]:
    return re.compile(f"[{word_characters()}]+")


@lru_cache(maxsize=1)
def _unspaced_pattern() -> re.Pattern[str]:
    return re.compile(f"[{UNSPACED}]")


def language_of(name: str | None) -> str:
    """The stemming algorithm for a language as metadata name it (`de`, `de-AT`, `German`), UNSTEMMED for one without.

    Where no language is named it is English: its endings are few, and what is searched for loses them as well.
    """
    if not name or not name.strip():
        return DEFAULT_LANGUAGE
    plain = name.strip().casefold()
    if plain in LANGUAGES.values():
        return plain
    return LANGUAGES.get(re.split(r"[-_]", plain)[0], UNSTEMMED)


def folded(text: str) -> str:
    """`text` without differences of case, width and accents."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", ACCENTS.sub("", decomposed))


class Analyzer:
    """The rules for one language; remembers the terms of words that it has seen, as texts repeat theirs."""

    def __init__(self, language: str = DEFAULT_LANGUAGE) -> None:
        self.language = language
        self._terms: dict[str, tuple[str, ...]] = {}
        self._runs: dict[str, tuple[str, ...]] = {}

    def terms(self, text: str) -> Iterator[tuple[str, ...]]:
        """For each word of `text` in order the terms by which it is found."""
        return map(self.terms_of, word_pattern().findall(text))

    def terms_of_piece(self, piece: str) -> Sequence[str]:
        """The terms of a text without white space, in order: what `terms` gives for it, sooner."""
        # No word begins with a joiner, nor ends with one other than + and #.
        inner = piece.lstrip(WORD_PUNCTUATION).rstrip(_ENDLESS)
        if inner.isascii() and inner.isalnum():
            return self._run_terms(inner)
        return [term for terms in self.terms(inner) for term in terms]

    def terms_of(self, word: str) -> tuple[str, ...]:
        """The terms of one word as `word_pattern` matches it, the most telling first."""
        found = self._terms.get(word)
        if found is None:
            found = self._analyzed(word)
            if len(self._terms) >= REMEMBERED:
                self._terms.clear()
            if word.isascii() or len(word) <= LONGEST_REMEMBERED_RUN or not _unspaced_pattern().match(word):
                self._terms[word] = found
        return found

    def literal_terms(self, text: str) -> list[str]:
        """Terms of every text that holds `text` literally, but for case, accents and white space.

        Single letters are left out: beside an apostrophe they are no terms.
        """
        found: list[str] = []
        for word in word_pattern().findall(unicodedata.normalize("NFKC", text)):
            if _unspaced_pattern().match(word):
                found.extend(_grams(word) if len(word) > 1 else word)
            else:
                found.extend(self._stemmed(run) for run in _run_pattern().findall(word) if len(run) > 1)
        return list(dict.fromkeys(found))

    def _analyzed(self, word: str) -> tuple[str, ...]:
        if not word.isascii():
            word = unicodedata.normalize("NFKC", word)
            if _unspaced_pattern().match(word):
                return tuple(dict.fromkeys([*_grams(word), *word]))
        runs = _run_pattern().findall(word)
        found = [] if runs == [word] else self._whole(word)
        for run in runs:
            if len(run) > 1 or not APOSTROPHES.search(word):
                found.extend(self._run_terms(run))
        return tuple(dict.fromkeys(found))

    def _run_terms(self, run: str) -> tuple[str, ...]:
        """A run of letters and digits, and its pieces: remembered, as few runs make many names."""
        found = self._runs.get(run)
        if found is None:
            humps = _humps(run)
            found = tuple(dict.fromkeys(map(self._stemmed, (run, *humps)))) if humps else (self._stemmed(run),)
            if len(self._runs) >= REMEMBERED:
                self._runs.clear()
            self._runs[run] = found
        return found

    def _whole(self, word: str) -> list[str]:
        """A name as a whole: the same for `user_name`, `user-name` and `userName`."""
        name = INNER.sub("", word)
        if _run_pattern().fullmatch(name):
            return [self._stemmed(name)]
        if len(name) > LONGEST_NAME:
            return []
        name = folded(name)
        version = VERSION.fullmatch(name)
        return [name, version[1]] if version else [name]

    def _stemmed(self, run: str) -> str:
        lowered = run.casefold()[:LONGEST_TERM]
        stemmer = _stemmer(self.language if lowered.isascii() else _language_of_word(lowered, self.language))
        return folded(stemmer(lowered) if stemmer else lowered)


def _humps(run: str) -> list[str]:
    """The pieces of `userName` or `sha256`; none of plain words, and of what looks like encoded data."""
    if not run.isascii() or (run.islower() and run.isalpha()):
        return []
    pieces = HUMPS.findall(run)
    return pieces if 1 < len(pieces) <= MOST_HUMPS else []


def _grams(run: str) -> list[str]:
    """Every two neighbouring characters of a run without spaces."""
    return [run[at : at + 2] for at in range(len(run) - 1)]


def _language_of_word(lowered: str, language: str) -> str:
    for script, languages in SCRIPTS:
        if script.match(lowered):
            return language if language in languages else languages[0]
    return UNSTEMMED if any(language in languages for _, languages in SCRIPTS) else language


@cache
def _stemmer(language: str) -> Callable[[str], str] | None:
    if language == UNSTEMMED:
        return None
    import Stemmer  # noqa: PLC0415 - only when words are stemmed

    return Stemmer.Stemmer(language, 0).stemWord
