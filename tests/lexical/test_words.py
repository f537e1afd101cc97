"""Terms of words: what is searched for meets what is searched, in every script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lexical import Analyzer, folded, language_of, word_pattern


def terms(text: str, language: str = "english") -> list[str]:
    return [term for found in Analyzer(language).terms(text) for term in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rotated keys", ["rotat", "key"]),
        ("user's don't", ["user", "dont", "don"]),
        ("getUserName", ["getusernam", "get", "user", "name"]),
        ("user_name user-name userName", ["usernam", "user", "name"] * 3),
        ("HTTPServer2", ["httpserver2", "http", "server", "2"]),
        ("os.path.join()", ["os.path.join", "os", "path", "join"]),
        ("v1.2.3", ["v1.2.3", "1.2.3", "v1", "v", "1", "2", "3"]),
        ("1,000.5", ["1000.5", "1", "000", "5"]),
        ("C++ and C#", ["c++", "c", "and", "c#", "c"]),
        ("SHA-256", ["sha256", "sha", "256"]),
        ("naïve CAFÉ ｆｕｌｌ", ["naiv", "cafe", "full"]),
        ("機械学習", ["機械", "械学", "学習", "機", "械", "学", "習"]),
        ("Python语言", ["python", "语言", "语", "言"]),
        ("ключей", ["ключ"]),
        ("... -- !?", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    """Words lose their endings, names count whole and in parts, unspaced scripts by pairs of characters."""
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("german", "Häuser", "Haus"),
        ("french", "continuerait", "continuation"),
        ("spanish", "canciones", "canción"),
        ("russian", "ключами", "ключ"),
        ("swedish", "flickorna", "flickor"),
        ("english", "rotating", "rotates"),
    ],
)
def test_forms_of_a_word_meet(language: str, one: str, other: str) -> None:
    """Two forms of a word in its language have the same term."""
    assert terms(one, language) == terms(other, language)


@pytest.mark.parametrize(
    ("name", "language"),
    [
        (None, "english"),
        ("", "english"),
        ("en", "english"),
        ("de-AT", "german"),
        ("pt_BR", "portuguese"),
        ("German", "german"),
        ("ja", ""),
        ("klingon", ""),
    ],
)
def test_language_by_its_name(name: str | None, language: str) -> None:
    """Languages are known by code or name; one without a stemmer keeps its words as they are."""
    assert language_of(name) == language


@given(st.text(max_size=80), st.sampled_from(["english", "german", "russian", ""]))
def test_literal_terms_are_terms_of_every_text_around(text: str, language: str) -> None:
    """Whatever stands around a text, the terms by which a phrase is looked up are among those of the whole."""
    analyzer = Analyzer(language)
    whole = {term for found in analyzer.terms(f"before {text} after") for term in found}
    assert set(analyzer.literal_terms(text)) <= whole


@given(st.text(max_size=60))
def test_case_and_accents_make_no_difference(text: str) -> None:
    """What is folded stays as it is when it is folded again."""
    once = folded(text)
    assert folded(once) == once


@given(st.text(max_size=200))
def test_every_letter_is_in_a_word(text: str) -> None:
    """No letter or digit of any script is passed over."""
    covered = set().union(*(range(*match.span()) for match in word_pattern().finditer(text)), set())
    assert all(at in covered for at, character in enumerate(text) if character.isalnum())
