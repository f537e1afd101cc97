"""The check at the door: count, dimension, finiteness, norm."""

import numpy as np
import pytest

from pipeline.embed import checked_matrix, known_model
from pipeline.embed.known import split_tag
from pipeline.errors import BadReply, BadVector, DimensionMismatch
from tests import make


def check(matrix: np.ndarray, *, count: int = 3, dimension: int | None = 4) -> np.ndarray:
    return checked_matrix(matrix, model="m", count=count, dimension=dimension, where="reply")


def test_good_vectors_pass_untouched() -> None:
    """Unit vectors of the right shape are handed on without a copy."""
    rows = make.unit_rows(3, 4)
    assert check(rows) is rows


def test_unnormalised_vectors_are_normalised() -> None:
    """Vectors of another length keep their direction and get unit length."""
    rows = make.unit_rows(3, 4)
    np.testing.assert_allclose(check(rows * 7), rows, atol=1e-6)


def test_wrong_count_is_a_bad_reply() -> None:
    """Fewer or more vectors than texts are never matched up by position."""
    with pytest.raises(BadReply, match="for 3 embeddings, got 2"):
        check(make.unit_rows(2, 4))


def test_wrong_dimension_names_model_expected_and_actual() -> None:
    """The error says which model, what was expected and what came."""
    with pytest.raises(DimensionMismatch, match="reply: model 'm' gives 4 dimensions, this has 5") as caught:
        check(make.unit_rows(3, 5))
    assert (caught.value.model, caught.value.expected, caught.value.actual) == ("m", 4, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vector_that_is_not_finite_is_named(value: float) -> None:
    """NaN and infinities name the text they belong to."""
    rows = make.unit_rows(3, 4)
    rows[1, 2] = value
    with pytest.raises(BadVector, match=r"text 2 of 3 .* holds NaN or an infinity"):
        check(rows)


def test_zero_vector_is_refused() -> None:
    """A vector without direction cannot be searched."""
    rows = make.unit_rows(3, 4)
    rows[0] = 0
    with pytest.raises(BadVector, match=r"text 1 of 3 .* is all zero"):
        check(rows)


@pytest.mark.parametrize(
    ("name", "dimension"),
    [
        ("nomic-embed-text", 768),
        ("nomic-embed-text:v1.5", 768),
        ("mxbai-embed-large:335m", 1024),
        ("snowflake-arctic-embed:22m", 384),
        ("snowflake-arctic-embed:33m-s-fp16", 384),
        ("snowflake-arctic-embed:110m", 768),
        ("snowflake-arctic-embed", 1024),
        ("all-minilm", 384),
        ("registry.example/team/all-minilm:l6-v2", 384),
        ("qwen3-embedding:0.6b", 1024),
    ],
)
def test_known_models_carry_their_dimension(name: str, dimension: int) -> None:
    """The table knows the dimension by model and size."""
    known = known_model(name)
    assert known is not None
    assert known.dimension(split_tag(name)[1]) == dimension


def test_unknown_model_is_not_guessed() -> None:
    """A model that is not in the table has to be learned from the server."""
    assert known_model("my-own-model:latest") is None
