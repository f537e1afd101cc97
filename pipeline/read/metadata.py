"""Metadata under stable keys: what formats call `dc:creator`, `article:author` or `From` is found under one name.

In: pairs as a format has them. Out: strings by the keys of docs/formats.md, dates as ISO 8601.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

from pipeline.read.assembly import clean

MOST_KEYS = 64
LONGEST_KEY = 64
LONGEST_VALUE = 1000
"""In characters: metadata is written into each collection, and shown."""

SYNONYMS = {
    "authors": "author",
    "creator": "author",
    "dc.creator": "author",
    "article:author": "author",
    "dcterms.creator": "author",
    "lang": "language",
    "locale": "language",
    "dc.language": "language",
    "content-language": "language",
    "tags": "keywords",
    "tag": "keywords",
    "categories": "keywords",
    "created": "date",
    "creation_date": "date",
    "publish_date": "date",
    "published": "date",
    "pubdate": "date",
    "dc.date": "date",
    "dcterms.date": "date",
    "dcterms.created": "date",
    "article:published_time": "date",
    "updated": "modified",
    "lastmod": "modified",
    "last_modified": "modified",
    "last-modified": "modified",
    "dcterms.modified": "modified",
    "article:modified_time": "modified",
    "dc.title": "title",
    "og:title": "title",
    "dc.subject": "subject",
    "dc.description": "description",
    "og:description": "description",
    "dc.publisher": "publisher",
}
DATES = ("date", "modified")

PDF_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?\s*(?:Z\S*|([+-])(\d\d)'?(\d\d)?'?)?\s*")
COMMON_DATES = ("%d %B %Y", "%B %d, %Y", "%d %b %Y", "%b %d, %Y", "%B %Y", "%Y/%m/%d", "%d.%m.%Y")


def standard(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    """The pairs under the keys that the rest of the program knows; the first of several values of a key counts.

    Keys are in lower case, values are one line and bounded; what is empty is left out.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        key = " ".join(clean(name).split()).lower()[:LONGEST_KEY]
        key = SYNONYMS.get(key, key)
        text = iso_date(value) if key in DATES else one_line(value)
        if key and text and key not in found and len(found) < MOST_KEYS:
            found[key] = text
    return found


def one_line(value: object) -> str:
    """A value as a line of text; the items of a list stand after one another."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, set)):
        return ", ".join(filter(None, (one_line(item) for item in value)))[:LONGEST_VALUE]
    if value is None or isinstance(value, dict):
        return ""
    return " ".join(clean(str(value)[: 2 * LONGEST_VALUE]).split())[:LONGEST_VALUE]


def iso_date(value: object) -> str:
    """A date of any common notation as `2026-03-01` or `2026-03-01T09:30:00+00:00`; what is none stays as it is."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    text = one_line(value)
    for reading in (_iso, _of_pdf, _of_mail, _in_words):
        try:
            if found := reading(text):
                return found
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return text


def _iso(text: str) -> str:
    if re.fullmatch(r"\d{4}(-\d\d)?", text):
        return text
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return date.fromisoformat(text).isoformat()
    return datetime.fromisoformat(text).isoformat() if re.match(r"\d{4}-\d\d-\d\d[T ]", text) else ""


def _of_pdf(text: str) -> str:
    match = PDF_DATE.fullmatch(text)
    if not match or not match[2]:
        return ""
    if not match[3]:
        return f"{match[1]}-{match[2]}"
    day = date(int(match[1]), int(match[2]), int(match[3])).isoformat()
    if not match[4]:
        return day
    zone = f"{match[7]}{match[8]}:{match[9] or '00'}" if match[7] else "+00:00" if "Z" in text else ""
    return datetime.fromisoformat(f"{day}T{match[4]}:{match[5] or '00'}:{match[6] or '00'}{zone}").isoformat()


def _of_mail(text: str) -> str:
    moment = parsedate_to_datetime(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _in_words(text: str) -> str:
    for notation in COMMON_DATES:
        try:
            moment = datetime.strptime(text, notation)
        except ValueError:
            continue
        return moment.strftime("%Y-%m") if notation == "%B %Y" else moment.date().isoformat()
    return ""
