"""Front matter: what a text file says of itself before it starts, in YAML or TOML.

In: the text of a file. Out: metadata, and the offset at which the text proper starts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from pipeline.read.metadata import standard

YAML = re.compile(r"---[ \t]*\r?\n(.*?\r?\n)?(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL)
TOML = re.compile(r"\+\+\+[ \t]*\r?\n(.*?\r?\n)?\+\+\+[ \t]*(?:\r?\n|$)", re.DOTALL)
FIELD = re.compile(r"([A-Za-z_][\w-]*)\s*:\s*(.*)")
ALIAS = re.compile(r"(?:^|[\s\[{,:-])\*\w", re.MULTILINE)
"""A reference to another part of the YAML: a few of them can stand for billions of values."""
LONGEST = 2**16
"""In characters. What is longer is no front matter that anybody wrote, and is read line by line."""


def front_matter(text: str) -> tuple[dict[str, str], int]:
    """The metadata at the head of a text, by the keys of docs/formats.md, and where it ends; none and 0 without."""
    if match := YAML.match(text):
        return standard(_flat(_yaml(match[1] or ""))), match.end()
    if match := TOML.match(text):
        return standard(_flat(_toml(match[1] or ""))), match.end()
    return {}, 0


def _yaml(source: str) -> dict[str, Any]:
    """What YAML makes of it; what is none, or refers to its own parts, is read as `key: value` lines."""
    import yaml  # noqa: PLC0415 - only where there is front matter

    if len(source) <= LONGEST and not ALIAS.search(source):
        try:
            found = yaml.safe_load(source)
        except (yaml.YAMLError, RecursionError, ValueError):  # ValueError: a date that is none
            found = None
        if isinstance(found, dict):
            return found
    return dict(_fields(source))


def _toml(source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(source)
    except (tomllib.TOMLDecodeError, RecursionError):
        return dict(_fields(source.replace("=", ":")))


def _flat(fields: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """The fields, those of mappings within them among them."""
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield str(key), value


def _fields(front: str) -> Iterator[tuple[str, str]]:
    for line in front.splitlines():
        if field := FIELD.fullmatch(line.strip()):
            yield field[1].lower(), field[2].strip().strip("\"'")
