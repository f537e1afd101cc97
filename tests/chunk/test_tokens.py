"""Token counts: WordPiece worked by hand, and an estimate that errs on the safe side."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chunk import EstimateCounter, TokenCounter, Tokenizer, WordPieceCounter, token_counter
from pipeline.chunk.tokens import LONGEST_PIECE, WORDS

VOCABULARY = [
    "[UNK]",
    "[CLS]",
    "un",
    "want",
    "##want",
    "##ed",
    "runn",
    "##ing",
    ",",
    "the",
    "cafe",
    "日",
    "本",
    "a",
    "##a",
]


def gguf(vocabulary: list[str]) -> list[str]:
    """The same vocabulary as GGUF files write it: word starts are marked, continuations are bare."""
    return [
        token if token.startswith("[") else token[2:] if token.startswith("##") else f"\u2581{token}"
        for token in vocabulary
    ]


@pytest.fixture(params=[VOCABULARY, gguf(VOCABULARY)], ids=["bert", "gguf"])
def counter(request: pytest.FixtureRequest) -> WordPieceCounter:
    return WordPieceCounter(request.param)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("UNwanted, running", 6),  # un ##want ##ed , runn ##ing (the example of the BERT paper's code)
        ("the Café", 2),  # accents go
        ("日本", 2),  # each character is a word
        ("zebra", 1),  # cannot be matched: one [UNK]
        ("the zebra unwanted", 5),
        ("a" * 100, 102),  # a ##a ##a ...: counted in parts of 40, each that goes on with one token to spare
        ("", 0),
        (" \t\n\u00a0", 0),
    ],
)
def test_wordpiece_of_worked_examples(counter: WordPieceCounter, text: str, tokens: int) -> None:
    """Counts are those of greedy longest match after BERT's normalising, in both ways of writing a vocabulary."""
    assert counter.count(text) == tokens


def test_pieces_add_up_and_stand_at_their_offsets(counter: WordPieceCounter) -> None:
    """Every piece starts where its offset says, in order, and the pieces' tokens are the text's."""
    text = "UNwanted,  running 日本!"
    assert counter.pieces(text) == ([0, 11, 19, 20, 21], [4, 2, 1, 1, 1])
    assert counter.count(text) == 9


def test_parts_of_a_long_word_are_never_counted_too_low() -> None:
    """What is one token at the start of a word may be several inside one, and is counted as such."""
    counter = WordPieceCounter(["x", "##x", "word", "##w", "##o", "##r", "##d"])
    assert counter.count("word") == 1
    assert counter.count("x" * 40 + "word") >= 40 + 4
    assert counter.count("x" * 40 + " word") == 40 + 1


def test_estimate_errs_on_the_safe_side(counter: WordPieceCounter) -> None:
    """For prose the estimate is at least what a small WordPiece vocabulary needs."""
    estimate = EstimateCounter()
    assert estimate.count("unwanted running, the cafe") >= counter.count("unwanted running, the cafe")
    assert estimate.count("日本語") == 3
    assert not estimate.exact


def test_counter_is_chosen_by_what_the_server_hands_out() -> None:
    """A tokenizer of a kind that is known gives exact counts, another or none the estimate."""
    exact: TokenCounter = token_counter(Tokenizer(kind="bert", tokens=VOCABULARY))
    assert exact.exact
    pairs = Tokenizer(kind="gpt2", tokens=["a", "b", "ab"], merges=["a b"], split="gpt-2")
    assert token_counter(pairs).count("abab") == 2
    assert token_counter(pairs).exact
    assert not token_counter(replace(pairs, split="of-tomorrow")).exact
    assert not token_counter(replace(pairs, kind="t5")).exact
    assert not token_counter(None).exact


@settings(deadline=None)
@given(text=st.text(st.sampled_from("ab.,日本é\u2003 \n\t—😀\U00020001\u0301\x1c\u200b\u3000"), max_size=150))
def test_estimate_by_character_is_that_of_a_pattern(text: str) -> None:
    """What NumPy finds a character at a time is what the pattern of words finds, in any text."""
    found = [
        (match.start() + at, (len(match[0][at : at + LONGEST_PIECE].encode()) + 2) // 3)
        for match in WORDS.finditer(text)
        for at in range(0, len(match[0]), LONGEST_PIECE)
    ]
    offsets, tokens = EstimateCounter().pieces(text)
    assert list(zip(offsets, tokens, strict=True)) == found
    assert EstimateCounter().count(text) == sum(tokens)
