"""Names and numbers that an answer cannot have from what was read."""

import pytest

from pipeline.answer.grounding import ungrounded_terms
from tests import make

PASSAGES = make.passages("Mara Lind wrote the courier in 2019.", "Keys are rotated every 90 days, at 02:00.")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Mara Lind wrote it in 2019. [1]", []),
        ("It was written by James Cook. [1]", ["James", "Cook"]),
        ("Keys are rotated every 30 days [2].", ["30"]),
        ("Keys are rotated every 90 days [2][17], at 02:00.", []),
        ("Nobody knows. Perhaps the team does.", []),
        ("- Rotated keys\n- Old keys", []),
        ("In Skerra, as asked.", []),
        ("mara lind and MARA LIND", []),
        ("According to sources 7 and 8, and to Passage 9, it is 5.", ["5"]),
    ],
)
def test_terms_that_were_not_read(text: str, terms: list[str]) -> None:
    """Numbers and names count, words that begin a sentence and marks do not, and the question counts as read."""
    assert ungrounded_terms(text, "What happened in Skerra?", PASSAGES) == terms
