"""LaTeX by its lines: sections, environments, items and paragraphs; the text is the source as it stands.

Title, author and date of the preamble are metadata; the rest of the preamble and comments are in no block. Macros are
not expanded, and files that are included are documents of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.read.formats import Parsed
from pipeline.read.lines import Line, split_lines
from pipeline.read.metadata import standard
from pipeline.types import Block, BlockKind

SECTION = re.compile(
    r"\s*\\(part|chapter|section|subsection|subsubsection|paragraph|subparagraph)\*?\s*(?:\[[^\]\n]*\])?\s*\{"
)
LEVELS = {"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5, "subparagraph": 6}
BEGIN = re.compile(r"\s*\\begin\s*\{([A-Za-z]+)\*?\}")
ITEM = re.compile(r"\s*\\item\b")
BARE = re.compile(r"\s*\\(?:begin|end|label|centering|maketitle|tableofcontents|newpage|clearpage|noindent)\b[^%]*")
DOCUMENT = re.compile(r"^[^%\n]*?\\begin\s*\{document\}", re.MULTILINE)
END_DOCUMENT = re.compile(r"\s*\\end\s*\{document\}")
FIELD = re.compile(r"^[^%\n]*?\\(title|author|date)\s*(?:\[[^\]\n]*\])?\s*\{", re.MULTILINE)
COMMAND = re.compile(r"\\(?:thanks|footnote|label|index)\s*\{[^{}]*\}|\\[A-Za-z@]+\*?\s*|[{}]|\\[\\,;!]")
LANGUAGE = re.compile(r"\\usepackage\s*\[([^\]\n]*)\]\s*\{babel\}")
ENVIRONMENTS: dict[str, BlockKind] = {
    **dict.fromkeys(("verbatim", "lstlisting", "minted", "alltt", "algorithm", "algorithmic"), "code"),
    **dict.fromkeys(("equation", "align", "displaymath", "gather", "multline", "eqnarray"), "code"),
    **dict.fromkeys(("tabular", "tabularx", "longtable", "table", "array"), "table"),
    **dict.fromkeys(("quote", "quotation", "verse"), "quote"),
}
LANGUAGES = {
    "english": "en",
    "american": "en",
    "british": "en",
    "german": "de",
    "ngerman": "de",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "dutch": "nl",
    "portuguese": "pt",
    "russian": "ru",
    "polish": "pl",
}
LONGEST_ARGUMENT = 2000


def parse(text: str) -> Parsed:
    document = DOCUMENT.search(text)
    preamble = text[: document.end()] if document else ""
    found = {match[1]: _plain(_argument(text, match.end() - 1)) for match in FIELD.finditer(text)}
    if "\\today" in found.get("date", "") or found.get("date") == "":
        found.pop("date", None)
    babel = LANGUAGE.search(preamble)
    language = LANGUAGES.get(babel[1].split(",")[-1].strip(), "") if babel else ""
    metadata = standard([*found.items(), ("language", language)])
    body = preamble.count("\n") + 1 if document else 0
    return Parsed(
        text=text,
        blocks=tuple(_blocks(text, split_lines(text), body)),
        title=metadata.get("title", ""),
        metadata=metadata,
    )


def _blocks(text: str, lines: list[Line], at: int) -> Iterator[Block]:
    start = -1
    endless: set[str] = set()
    while at < len(lines):
        content = lines[at].content
        section, begin = SECTION.match(content), BEGIN.match(content)
        kind = ENVIRONMENTS.get(begin[1]) if begin else None
        breaks = lines[at].blank or section or kind or ITEM.match(content) or BARE.fullmatch(content)
        if start >= 0 and (breaks or content.lstrip().startswith("%")):
            yield _block(lines, start, at)
            start = -1
        if END_DOCUMENT.match(content):
            return
        if section:
            argument = _argument(text, lines[at].start + section.end() - 1)
            last = at + argument.count("\n")
            title = _plain(argument)
            yield Block(
                start=lines[at].start,
                end=lines[min(last, len(lines) - 1)].end,
                kind="heading",
                level=LEVELS[section[1]],
                title=title,
            )
            at = last + 1
            continue
        if begin and kind:
            last = _end_of(lines, at, begin[1], endless)
            yield Block(start=lines[at].start, end=lines[last].end, kind=kind)
            at = last + 1
            continue
        if start < 0 and not lines[at].blank and not content.lstrip().startswith("%") and not BARE.fullmatch(content):
            start = at
        at += 1
    if start >= 0:
        yield _block(lines, start, len(lines))


def _block(lines: list[Line], first: int, end: int) -> Block:
    kind: BlockKind = "list_item" if ITEM.match(lines[first].content) else "paragraph"
    return Block(start=lines[first].start, end=lines[end - 1].end, kind=kind)


def _end_of(lines: list[Line], at: int, name: str, endless: set[str]) -> int:
    """The line at which an environment ends; one that never does ends at the next blank line.

    Names in `endless` were looked for in vain up to the end of the file, and are not looked for again.
    """
    end = re.compile(rf"\\end\s*\{{{name}\*?\}}")
    blank = len(lines)
    for position in range(at, len(lines)):
        if name not in endless and end.search(lines[position].content):
            return position
        if lines[position].blank and blank == len(lines):
            blank = position
            if name in endless:
                break
    endless.add(name)
    return max(at, blank - 1)


def _argument(text: str, brace: int) -> str:
    """What stands in braces that open at an offset, in one look of limited length."""
    depth = 0
    for offset in range(brace, min(len(text), brace + LONGEST_ARGUMENT)):
        character = text[offset]
        if character == "{" and text[offset - 1] != "\\":
            depth += 1
        elif character == "}" and text[offset - 1] != "\\":
            depth -= 1
            if depth == 0:
                return text[brace + 1 : offset]
    return text[brace + 1 : brace + LONGEST_ARGUMENT].split("\n", maxsplit=1)[0]


def _plain(argument: str) -> str:
    spaced = argument.replace("\\and", ", ").replace("~", " ").replace("\\\\", " ")
    return " ".join(COMMAND.sub(lambda match: " " if match[0].startswith("\\") else "", spaced).split()).replace(
        " ,", ","
    )
