"""Small passages are found and their section, or what stands around them, is shown, with exact spans."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.collection import Collection
from pipeline.errors import UsageError
from pipeline.types import Hit
from tests.query.conftest import config, write

SUBJECTS = ("tides in the harbour", "bread from the oven", "roads over the mountain")
TEXT = "# Almanac\n\n" + "\n".join(
    f"## On {subject}\n\n"
    + "\n\n".join(f"Sentence {number} tells of {subject}, and\n  goes on for a while." for number in range(6))
    + "\n"
    for subject in SUBJECTS
)


@pytest.fixture(scope="module")
def almanac(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Collection]:
    """A document of three sections, cut into sentences, and one without headings that is longer than any parent."""
    folder = tmp_path_factory.mktemp("almanac")
    long = "\n".join(f"Line {number} of the log says that the wind came from the west again." for number in range(200))
    with Collection("almanac", config(folder, models_folder)) as collection:
        collection.index(
            write(folder / "texts", {"almanac.md": TEXT, "log.txt": long}), chunker="sentences:16", language="none"
        )
        yield collection


def source(hit: Hit) -> str:
    """What the file has in the span of a hit."""
    return Path(hit.path).read_text(encoding="utf-8")[hit.start : hit.end]


def test_passages_are_small_unless_asked(almanac: Collection) -> None:
    """Without a parent a hit is the passage itself, and its span is the document's text."""
    hits = almanac.search("tides", k=5, where="name = almanac.md")
    assert len(hits) == 5
    assert all(hit.text == source(hit) and hit.text.count("Sentence") <= 1 for hit in hits)


def test_section_is_shown_once(almanac: Collection) -> None:
    """Every sentence of a section is found, and the section is one hit, word for word."""
    hits = almanac.search("tides bread roads", k=10, where="name = almanac.md", parent="section")
    sections = {hit.heading: hit for hit in hits if hit.text.count("Sentence") > 1}
    assert [heading.rpartition(" > ")[2] for heading in sorted(sections)] == sorted(f"On {each}" for each in SUBJECTS)
    for hit in sections.values():
        assert hit.text == source(hit)
        assert hit.text.count("Sentence") == 6
        lines = Path(hit.path).read_text(encoding="utf-8").splitlines()
        assert hit.text in "\n".join(lines[hit.start_line - 1 : hit.end_line])


def test_neighbourhood_has_a_width(almanac: Collection) -> None:
    """With a number, so many passages on either side; what is shown already is not shown again."""
    (small,) = almanac.search('"Line 100 of"', k=1)
    (wide,) = almanac.search('"Line 100 of"', k=1, parent="2")
    assert wide.text.count("Line") > small.text.count("Line")
    assert wide.start < small.start < small.end < wide.end
    assert wide.text == source(wide)
    hits = almanac.search("the wind came from the west", k=20, where="name = log.txt", parent="3")
    spans = sorted((hit.start, hit.end) for hit in hits)
    assert len(spans) == 20
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_long_sections_are_shown_in_part(almanac: Collection) -> None:
    """A document without headings is shown around what was found, as far as a parent may reach."""
    (hit,) = almanac.search('"Line 100 of"', k=1, parent="section")
    assert "Line 100 of" in hit.text
    assert 6000 < len(hit.text) <= 8400
    assert hit.text == source(hit)


def test_what_is_no_parent_is_refused(almanac: Collection) -> None:
    """A word that means nothing, and two ways of joining passages, are mistakes with a hint."""
    with pytest.raises(UsageError, match="'chapter' is no parent of a passage"):
        almanac.search("tides", parent="chapter")
    with pytest.raises(UsageError, match="merge and parent both"):
        almanac.search("tides", parent="section", merge=True)
