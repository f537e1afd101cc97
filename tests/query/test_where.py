"""Conditions: what they mean, document by document, and where errors point."""

import json
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.query.filters import masks_where
from pipeline.query.where import parse_where, time_span
from pipeline.store import CollectionWriter, DocumentRow, Layout, SegmentBuilder, Snapshot
from tests import make

DAY = 86_400 * 10**9
DOCUMENTS = (
    ("/home/a/docs/intro.md", "markdown", 500, 0, {"language": "en-GB", "author": "Mary Ann", "version": "2.10"}),
    (
        "/home/a/docs/deep/keys.md",
        "markdown",
        20_000,
        19_000,
        {"language": "de", "date": "2024-06-30", "draft": True, "keywords": "security, keys"},
    ),
    ("/home/a/code/main.py", "python", 3 * 2**20, 19_900, {"tags": ["fast", "Small"], "version": "2.9"}),
)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Three documents of one passage each; the last has been touched since it was stored."""
    layout = Layout.of(tmp_path_factory.mktemp("home"), "notes")
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(4), {})
        builder = SegmentBuilder(4)
        for path, kind, size, day, metadata in DOCUMENTS:
            row = DocumentRow(
                document_id=path,
                path=path,
                title="A title" if kind == "markdown" else "",
                format=kind,
                size=size,
                mtime_ns=day * DAY + 1,
                content_hash="x",
                metadata=json.loads(json.dumps(metadata)),
            )
            builder.add(row, [make.chunk(path, document_id=path)], list(make.unit_rows(1, 4)))
        writer.commit(builder)
        writer.commit(SegmentBuilder(4), touched={DOCUMENTS[2][0]: (3 * 2**20, 20_000 * DAY)})
    return Snapshot.open(layout)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("path ~ '*.md'", "01"),
        ("path ~ *.md", "01"),
        ("path ~ docs/*.md", "0"),
        ("path ~ docs/**", "01"),
        ("path ~ 'docs/**/*.md'", "01"),
        ("path ~ /home/*/code/main.py", "2"),
        ("path ~ home/a/code/ma?n.py", "2"),
        ("path !~ docs/**", "2"),
        ("path = docs/intro.md", "0"),
        ("path = intro.md", "0"),
        ("path = ntro.md", ""),
        ("name = keys.md or name = main.py", "12"),
        ("format = Markdown", "01"),
        ("type in (python, rst)", "2"),
        ("title = 'a title'", "01"),
        ("has title", "01"),
        ("not has author", "12"),
        ("author = 'mary ann'", "0"),
        ('author ~ "mary*"', "0"),
        ("author != 'mary ann'", "12"),
        ("language = en", "0"),
        ("language = en-gb", "0"),
        ("language != en", "12"),
        ("draft = true", "1"),
        ("tags = small", "2"),
        ("keywords = security", "1"),
        ("keywords in (keys, doors)", "1"),
        ("keywords = 'security, keys'", "1"),
        ("tags in (slow, fast)", "2"),
        ("size > 1m", "2"),
        ("size <= 500", "0"),
        ("size >= 19.5k and size < 20.5k", "1"),
        ("version > 2.9", ""),
        ("version >= 2.9", "2"),
        ("version = '2.10'", "0"),
        ("date = 2024", "12"),
        ("date < 2024-06-30", "0"),
        ("date = 2024-06", "1"),
        ("date >= 2024-06-30", "12"),
        ("modified < 2024", "01"),
        ("modified = 2024-10-04", "2"),
        ("modified > 2022-01-08T00:00 and modified < 2024", ""),
        ("format = python or format = markdown and language = de", "12"),
        ("(format = python or format = markdown) and language = de", "1"),
        ("NOT (language = de OR has tags)", "0"),
        ("not not language = de", "1"),
    ],
)
def test_conditions_select_documents(snapshot: Snapshot, expression: str, expected: str) -> None:
    """Each condition selects the documents that meet it, by their numbers, and no other."""
    (masks,) = masks_where([snapshot], expression)
    assert "".join(str(number) for number in range(3) if masks[0][number]) == expected


@pytest.mark.parametrize(
    ("expression", "at", "problem"),
    [
        ("", 0, "a field is missing here"),
        ("path", 4, "an operator is missing after 'path'"),
        ("path =", 6, "a value is missing after '='"),
        ("path = a b", 9, "'and' or 'or' is missing here"),
        ("path = a and", 12, "a field is missing here"),
        ("(path = a", 0, "this '(' is not closed"),
        ("(path = a b)", 10, "'and', 'or' or ')' is missing here"),
        ("path = a)", 8, "this ')' closes nothing"),
        ("path = 'a", 7, "this quote is not closed"),
        ("path in a", 8, "'in' needs values in parentheses"),
        ("path in (a b)", 11, "',' or ')' is missing here"),
        ("path = *.md", 7, "patterns are compared with ~"),
        ("size > big", 7, "a size is a number of bytes"),
        ("date > soon", 7, "a date is like 2024"),
        ("date = 2024-13", 7, "a date is like 2024"),
        ("format > a", 0, "format has no order"),
        ("formt = md", 0, "no document has 'formt'"),
        ("path = a and has colour", 17, "no document has 'colour'"),
        ("(" * 60 + "path = a", 50, "more than 50 conditions"),
        ("type = markdwn", 7, "there is no format 'markdwn'"),
        ("path = a and format in (markdown, pfd)", 34, "there is no format 'pfd'"),
        ("path = a\nand ! b", 4, "'!' means nothing here"),
    ],
)
def test_errors_point_at_the_place(snapshot: Snapshot, expression: str, at: int, problem: str) -> None:
    """A condition that cannot be understood shows its line with a mark under the place, and ends with status 2."""
    with pytest.raises(UsageError) as caught:
        masks_where([snapshot], expression)
    said, line, mark = caught.value.message.split("\n")
    assert problem in said
    assert line[2:] == expression.rsplit("\n", maxsplit=1)[-1]
    assert mark == " " * (at + 2) + "^"
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("locale = de", "readers keep 'locale' under the key 'language'"),
        ("updated > 2024", "readers keep 'updated' under the key 'modified'"),
        ("format != markdwn", "did you mean markdown? there are: archive, code, csv"),
        ("format = zzz", "there are: archive, code, csv"),
    ],
)
def test_errors_name_what_was_meant(snapshot: Snapshot, expression: str, hint: str) -> None:
    """A word of front matter names the key that stands for it, a mistyped format the nearest that there is."""
    with pytest.raises(UsageError) as caught:
        masks_where([snapshot], expression)
    assert caught.value.hint.startswith(hint)


def test_a_format_that_only_a_pattern_names_is_no_mistake(snapshot: Snapshot) -> None:
    """What is compared as a pattern, or is a format without documents here, selects what it selects."""
    for expression in ("format ~ 'zz*'", "format = pdf"):
        assert not any(mask.any() for masks in masks_where([snapshot], expression) for mask in masks)


def test_a_key_of_one_collection_may_lack_in_another(snapshot: Snapshot, tmp_path: Path) -> None:
    """Searching several collections, a key has to be known in one of them."""
    layout = Layout.of(tmp_path, "other")
    with CollectionWriter(layout) as writer:
        writer.create(make.identity(4), {})
        builder = SegmentBuilder(4)
        builder.add(make.document_row("/b"), [make.chunk("b")], list(make.unit_rows(1, 4)))
        writer.commit(builder)
    masks = masks_where([Snapshot.open(layout), snapshot], "has draft")
    assert [mask.tolist() for part in masks for mask in part] == [[False], [False, True, False]]


@pytest.mark.parametrize(
    ("text", "start", "seconds"),
    [
        ("1970", 0, 365 * 86400),
        ("1970-02", 31 * 86400, 28 * 86400),
        ("1970-12", 334 * 86400, 31 * 86400),
        ("1970-01-02", 86400, 86400),
        ("1970-01-01T01:00+01:00", 0, 1),
        ("1970-01-01 00:01:05", 65, 1),
    ],
)
def test_dates_name_stretches_of_time(text: str, start: int, seconds: int) -> None:
    """A year, a month and a day are as long as they are; a moment is a second; without a zone it is UTC."""
    span = time_span(text)
    assert span is not None
    assert (span.start, span.end - span.start) == (start * 10**9, seconds * 10**9)


@pytest.mark.parametrize("text", ["", "soon", "2024-13", "2024-02-30", "0000", "99999", "2024-1-1"])
def test_what_is_no_date(text: str) -> None:
    """Anything else is not taken for a date."""
    assert time_span(text) is None


def test_any_bytes_are_parsed_or_refused() -> None:
    """No text makes the parser fail in another way than by saying what is wrong."""
    from hypothesis import given
    from hypothesis import strategies as st

    @given(st.text(alphabet="abp ()=<>!~,'\"\\\n*andornotinhas", max_size=40))
    def check(expression: str) -> None:
        try:
            parse_where(expression)
        except UsageError as error:
            assert "^" in error.message

    check()
