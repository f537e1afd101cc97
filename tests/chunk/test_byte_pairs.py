"""Byte pairs: worked by hand, against the reference implementation, and against what a real model says that it read."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, models, pre_tokenizers
from tokenizers import Tokenizer as Reference

from pipeline.api import Client
from pipeline.chunk import BytePairCounter, Tokenizer
from pipeline.chunk.tokens import LONGEST_PIECE
from pipeline.config import Config
from pipeline.connect import connect
from pipeline.embed.identity import tokenizer_of
from tests.conftest import CHAT_MODEL

LOWEST = Tokenizer(kind="gpt2", tokens=(), merges=["e s", "es t", "l o", "lo w", "Ġ low", "Ċ Ċ"], split="gpt-2")
"""Merges in the manner of the paper's example (Sennrich et al. 2016): `lowest` becomes `low est`."""
TEXTS = [
    "How often are the keys rotated?",
    "It's 1,234.5 °C – don't   panic!\n\n\n  next\tline\r\n end ",
    "def get_user(name: str) -> dict[str, int]:\n    return {'a': 1}  # done\n",
    "größer, naïve, Ελλάδα, Москва, 日本語のテキスト, 한국어, العربية, ½ ² Ⅷ",
    "😀👩‍💻 emoji \u200b\u00a0and\u2003spaces\u3000",
    "x" * 30 + " " + "=" * 30,
]
ALPHABET = "abEst'slLreo 019  \t\n\r.,-=_—éßя日ー½²Ⅷ\u0301\u00a0\u2003😀\U00020001"


@pytest.fixture(scope="module")
def client(models_folder: Path) -> Iterator[Client]:
    connection = connect(Config(home=models_folder, host="embedded", models=models_folder))
    yield connection.client
    connection.close()


@pytest.fixture(scope="module")
def tokenizer(client: Client) -> Tokenizer:
    """That of the real model, as the server hands it out."""
    found = tokenizer_of(client, CHAT_MODEL)
    assert found is not None
    assert (found.kind, found.split) == ("gpt2", "smollm")
    return found


def reference(tokenizer: Tokenizer, split: str) -> Reference:
    """The same merges in the `tokenizers` library, with the rules of splitting as the models' authors publish them."""
    vocabulary = {token: number for number, token in enumerate(tokenizer.tokens)}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in tokenizer.merges)]
    found = Reference(models.BPE(vocabulary, pairs, ignore_merges=split == "llama-bpe"))
    digits = r"\p{N}{1,3}" if split == "llama-bpe" else r"\p{N}"
    by_line = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    )
    of_split = {
        "gpt-2": [pre_tokenizers.ByteLevel(add_prefix_space=False)],
        "smollm": [
            pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ],
    }
    of_lines = [
        pre_tokenizers.Split(Regex(by_line), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    found.pre_tokenizer = pre_tokenizers.Sequence(of_split.get(split, of_lines))
    return found


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("lowest", 2),  # low est
        ("low low", 2),  # low Ġlow: a space is the first byte of its word
        ("lowest's", 4),  # low est ' s: what is merged stays within its word
        ("\n\n", 1),
        ("é", 2),  # two bytes that no merge joins
        ("", 0),
    ],
)
def test_byte_pairs_of_worked_examples(text: str, tokens: int) -> None:
    """Counts are those of merging the pair that comes first in the list, over and over again."""
    assert BytePairCounter(LOWEST).count(text) == tokens


def test_pieces_of_byte_pairs_stand_at_their_offsets() -> None:
    """Words begin with the space before them, and what is longer than the longest piece is counted in parts."""
    counter = BytePairCounter(LOWEST)
    assert counter.pieces("low low's") == ([0, 3, 7], [1, 1, 2])
    assert counter.pieces("z" * 50 + " low") == ([0, LONGEST_PIECE, 50], [LONGEST_PIECE + 1, 50 - LONGEST_PIECE, 1])


@pytest.fixture(scope="module", params=["gpt-2", "smollm", "qwen2", "llama-bpe"])
def both(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> tuple[BytePairCounter, Reference]:
    """A real model's merges under each rule of splitting, here and in the reference implementation."""
    return BytePairCounter(replace(tokenizer, split=request.param)), reference(tokenizer, request.param)


@settings(deadline=None, max_examples=150)
@given(text=st.lists(st.text(st.sampled_from(ALPHABET), max_size=12), max_size=12).map("".join))
def test_byte_pairs_are_counted_as_the_reference_counts_them(
    both: tuple[BytePairCounter, Reference], text: str
) -> None:
    """On any text: exactly where no word is cut, never too low where one is."""
    ours, theirs = both
    expected = len(theirs.encode(text, add_special_tokens=False))
    starts = [*ours.pieces(text)[0], len(text)]
    if max((end - start for start, end in pairwise(starts)), default=0) < LONGEST_PIECE:
        assert ours.count(text) == expected
    else:
        assert ours.count(text) >= expected


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_byte_pairs_are_what_the_model_reads(text: str, client: Client, tokenizer: Tokenizer) -> None:
    """The server's own count of a prompt that it takes as it is."""
    reply = client.generate(CHAT_MODEL, text, raw=True, options={"num_predict": 1})
    assert BytePairCounter(tokenizer).count(text) == reply.prompt_eval_count
