"""Citations: marks resolve, missing ones are found, impossible ones go."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.answer.citations import resolve_citations
from pipeline.answer.sentences import sentences, support
from pipeline.types import Citation
from tests import make

SOURCES = make.passages(
    "Signing keys are rotated every ninety days.\nThe old key stays valid for a week.",
    "Backups are written to the vault at two in the morning.",
)


def test_mark_resolves_to_the_sentence_that_supports_it() -> None:
    """A citation quotes the passage's sentence that the claim rests on, with that sentence's line."""
    cited = resolve_citations("The old key remains valid for a week [1].", SOURCES)
    assert cited.text == "The old key remains valid for a week [1]."
    assert cited.citations == (
        Citation(number=1, path="/a.md", start_line=2, end_line=2, quote="The old key stays valid for a week."),
    )


def test_sentence_without_a_mark_gets_one_where_a_passage_supports_it() -> None:
    """A model that forgets to cite is helped where the words leave no doubt, and only there."""
    cited = resolve_citations("Backups are written at two in the morning. That is nice weather.", SOURCES)
    assert cited.text == "Backups are written at two in the morning [2]. That is nice weather."
    assert [citation.number for citation in cited.citations] == [2]


def test_number_that_the_cited_passage_lacks_is_cited_where_it_stands() -> None:
    """A model that cites the neighbour of the right passage gets the right one added."""
    passages = make.passages(
        "## Key rotation\n\nRotating keys often is practice.", "Storage keys: rotated every 90 days."
    )
    cited = resolve_citations("Storage keys are rotated every 90 days. [1]", passages)
    assert cited.text == "Storage keys are rotated every 90 days. [1][2]"
    assert [citation.quote for citation in cited.citations] == [
        "Rotating keys often is practice.",
        "Storage keys: rotated every 90 days.",
    ]


def test_mark_that_names_no_passage_is_removed_and_reported() -> None:
    """A citation to nothing does not survive."""
    cited = resolve_citations("Keys are rotated every ninety days [1][7].", SOURCES)
    assert cited.text == "Keys are rotated every ninety days [1]."
    assert cited.unknown == (7,)


@pytest.mark.parametrize(
    "text",
    [
        "Keys rotate every ninety days [1, 2].",
        "Keys rotate every ninety days [Source 1; 2].",
        "Keys rotate 【1】【2】.",
    ],
)
def test_marks_are_read_in_the_forms_that_models_write(text: str) -> None:
    """Lists, the word source and wide brackets all become plain marks."""
    cited = resolve_citations(text, SOURCES)
    assert "[1][2]" in cited.text.replace("] [", "][")
    assert [citation.number for citation in cited.citations] == [1, 2]


def test_support_is_the_share_of_content_words() -> None:
    """Worked by hand: of key, rotat(ed), ninety, day the source lacks none; of 'moon' and 'key' it has one."""
    source = "Signing keys are rotated every ninety days."
    assert support("keys rotated: ninety days", source) == 1.0
    assert support("the moon key", source) == 0.5
    assert support("the of and", source) == 0.0


def test_sentences_stand_in_the_text_as_they_are() -> None:
    """Splitting loses no word, and keeps list items and CJK sentences apart."""
    text = "One is here. Two (see Fig. 3) follows! \n\n- item one\n- item two\n\n鍵は毎週変える。古い鍵は残る。"
    parts = sentences(text)
    assert parts[0] == "One is here."
    assert "- item one" in parts
    assert "鍵は毎週変える。" in parts
    assert all(part in text for part in parts)


CODE = """To take the first one:

```python
def first(items):
    # keys are rotated every ninety days
    return items[0]


    last = items[1]
```

Signing keys are rotated every ninety days."""


def test_code_blocks_stay_as_they_are() -> None:
    """Brackets in a fenced block are no citations, its indentation stays, and no mark is put into it."""
    cited = resolve_citations(CODE, SOURCES)
    assert cited.text == CODE[:-1] + " [1]."
    assert [citation.number for citation in cited.citations] == [1]
    assert cited.unknown == ()


@pytest.mark.parametrize(
    "block",
    [
        "```\nreturn items[0]\n```",
        "~~~~\n```\nx[1]\n```\n~~~~",
        "```py\nreturn items[1]",
        "    return items[0]\n\n    return items[1]",
        "\treturn items[1]",
        "- one\n\n  ```\n  items[1]\n    items[7]\n  ```",
        "> ```\n> items[1]\n> ```",
    ],
    ids=["fence", "tildes", "unclosed", "indented", "tab", "in a list", "in a quote"],
)
def test_code_blocks_are_those_of_markdown(block: str) -> None:
    """Fences of both kinds, also unclosed ones and those in lists and quotes, and indented lines."""
    cited = resolve_citations(block, SOURCES)
    assert cited.text == block
    assert (cited.citations, cited.unknown) == ((), ())


def test_code_spans_stay_as_they_are() -> None:
    """A span in backticks keeps its brackets; the sentence around it is cited as any other."""
    text = "Call `keys[0]` or ``a`[1]``: signing keys are rotated every ninety days."
    cited = resolve_citations(text, SOURCES)
    assert cited.text == text[:-1] + " [1]."
    assert cited.unknown == ()
    assert resolve_citations("It is `items[1]`[2].", SOURCES).text == "It is `items[1]` [2]."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Keys are rotated every ninety days[1].", "Keys are rotated every ninety days [1]."),
        ("Keys rotate[1] and backups[2] are made.", "Keys rotate [1] and backups [2] are made."),
        ("Keys rotate[1][2].", "Keys rotate [1][2]."),
        ("Keys rotate[1, 2].", "Keys rotate [1][2]."),
        ("The key(s)[1] rotate.", "The key(s) [1] rotate."),
        ("Keys rotate (see above)[1].", "Keys rotate (see above) [1]."),
        ("See keys.md[1].", "See keys.md [1]."),
        ("毎週変える[1]。", "毎週変える [1]。"),
        ("Keys rotate[Source 1][2].", "Keys rotate [1][2]."),
    ],
)
def test_mark_without_a_space_before_it_is_a_citation(text: str, expected: str) -> None:
    """Models often write a mark close to the word before it."""
    cited = resolve_citations(text, SOURCES)
    assert cited.text == expected
    assert cited.citations != ()


@pytest.mark.parametrize(
    "text",
    [
        "It returns items[0].",
        "It returns items[7].",
        "It returns items[0], then items[1].",
        "It returns `items[i]`, then items[1].",
        "It returns matrix[i][1].",
        "It returns rows()[1] and f(x)[2].",
        "Then items[1] = 5.",
        "Then items[1].name is set.",
        "Pass sys.argv[1] to it.",
        "Pass row_values[1] + 1.",
    ],
)
def test_number_that_indexes_a_name_is_no_citation(text: str) -> None:
    """Outside code too: a number that is no passage, a name that is indexed elsewhere, what goes on as code does."""
    cited = resolve_citations(text, SOURCES)
    assert (cited.text, cited.citations, cited.unknown) == (text, (), ())


def test_name_that_a_passage_indexes_is_no_citation() -> None:
    """The passages tell code from prose."""
    passages = make.passages("The first one is argv[0], the others follow.", "Words are cheap.")
    assert resolve_citations("It is argv[1].", passages).citations == ()
    assert resolve_citations("It is words[1].", passages).text == "It is words [1]."


def test_white_space_stays_as_it_is() -> None:
    """Lists keep their indentation, lines their ends; a list's number is no sentence."""
    text = "1. Backups are written at two [2].  \n   - Old key stays valid for a week [1].\n\n\tThe  end."
    passages = make.passages("Old key: 1 week. The old key stays valid for a week.", "Backups are written at two.")
    assert resolve_citations(f"\n\n {text}\n", passages).text == text
    assert resolve_citations("Backups are written at two  \nx", passages).text == "Backups are written at two [2]  \nx"


def test_mark_in_a_line_of_its_own_belongs_to_what_stands_before_it() -> None:
    """To the sentence before it, or to the code, which it does not enter."""
    assert resolve_citations("Keys rotate.\n[1]", SOURCES).text == "Keys rotate. [1]"
    block = "```\nThe old key stays valid for a week\n```\n[1]"
    cited = resolve_citations(block, SOURCES)
    assert cited.text == block
    assert cited.citations[0].quote == "The old key stays valid for a week."


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab1 .\n\t\r\u2028-#>`~[]()=\U00100000"), max_size=60))
def test_text_without_passages_stays_as_it_is_but_for_marks(text: str) -> None:
    """Nothing is lost or moved: what is removed is blank space at the ends, and marks."""
    cited = resolve_citations(text, [])
    kept = cited.text.translate(str.maketrans("", "", " \n"))
    left = iter(text)
    assert all(character in left for character in kept)
    if not any(digit in text for digit in "0123456789"):
        assert cited.text.strip() == text.strip()


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="`~\r", exclude_categories=["Cs"]), max_size=80))
def test_fenced_block_survives_whatever_it_holds(code: str) -> None:
    """A block comes out as it went in."""
    block = f"```\n{code}\n```"
    cited = resolve_citations(f"Signing keys are rotated every ninety days[1].\n{block}\n[2]", SOURCES)
    assert cited.text == f"Signing keys are rotated every ninety days [1].\n{block}\n[2]"
