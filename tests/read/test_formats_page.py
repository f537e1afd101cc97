"""docs/formats.md names what is read: every format, suffix, language, shared key and limit."""

from pathlib import Path

import pytest

from pipeline.read.assembly import MAX_CHARACTERS
from pipeline.read.containers import MAX_EXPANDED, MAX_MEMBERS
from pipeline.read.files import MAX_BYTES
from pipeline.read.formats import FORMATS, LANGUAGES, LARGE, OPENED_ARCHIVES
from pipeline.read.isolation import Limits
from pipeline.read.json import MOST_VALUES
from pipeline.read.metadata import LONGEST_VALUE, MOST_KEYS, SYNONYMS
from pipeline.read.python import MOST_CHARACTERS

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("| format | names |")[2].partition("\n\n")[0]
ROWS = {line.split("`")[1]: line for line in TABLE.split("\n") if line.startswith("| `")}


@pytest.mark.parametrize("name", FORMATS)
def test_format_has_its_row(name: str) -> None:
    """Each format's row names its suffixes, and says what is kept and lost."""
    row = ROWS[name]
    suffixes = OPENED_ARCHIVES if name == "archive" else FORMATS[name].suffixes
    assert [suffix for suffix in suffixes if suffix not in row.replace(",", " ").split()] == []
    assert len(row.split("|")) == 6


def test_languages_and_keys_are_listed() -> None:
    """Every language of source code, and every key that others are renamed to, is on the page."""
    languages = " ".join(PAGE.partition("Languages of `code`: ")[2].partition(".\n")[0].split()).split(", ")
    assert languages == sorted([*LANGUAGES, "dockerfile"])
    assert [key for key in SYNONYMS.values() if f"`{key}`" not in PAGE] == []


def test_limits_are_those_of_the_code() -> None:
    """The numbers of the page are the numbers in force."""
    for stated, actual in (
        ("| text formats, spreadsheets | 64 MiB a file |", MAX_BYTES == 64 * 2**20 == FORMATS["xlsx"].max_bytes),
        ("| 256 MiB a file |", LARGE == 256 * 2**20),
        ("| 1 GiB, 50,000 members,", MAX_EXPANDED == 2**30 and MAX_MEMBERS == 50_000),
        ("| 64 Mi characters |", MAX_CHARACTERS == 64 * 2**20),
        ("| 120 s a file |", Limits().seconds == 120),
        ("| 2 GiB of address space (Linux) |", Limits().memory == 2 * 2**30),
        ("| Python | 1 Mi characters |", MOST_CHARACTERS == 2**20),
        ("| JSON | 2,000,000 values |", MOST_VALUES == 2_000_000),
        ("1,000 characters at most; there are at most 64", LONGEST_VALUE == 1000 and MOST_KEYS == 64),
    ):
        assert stated in PAGE
        assert actual, stated
