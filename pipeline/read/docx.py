"""Word documents: mammoth turns them into HTML, which is read as any page is.

Headings, lists, tables, footnotes, endnotes, comments and text boxes are kept; page headers and footers, pictures and
page numbers are not.
"""

from __future__ import annotations

import io
import re
from typing import Any

from pipeline.errors import MissingExtra
from pipeline.read import html
from pipeline.read.assembly import Assembly
from pipeline.read.containers import office_metadata, open_zip
from pipeline.read.formats import Parsed

STYLES = """
comment-reference => sup
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
"""
BACK_LINK = re.compile(r'\s*<a href="#[^"]*">↑</a>')
"""What mammoth puts after each note and comment."""


def parse(content: bytes) -> Parsed:
    with open_zip(content, what="a Word document") as archive:
        metadata = office_metadata(archive)
    try:
        import mammoth  # noqa: PLC0415 - heavy, and in an extra
    except ImportError as error:
        raise MissingExtra("mammoth", extra="documents") from error

    result = mammoth.convert_to_html(io.BytesIO(content), style_map=STYLES, convert_image=_no_picture)
    page = html.parse(BACK_LINK.sub("", result.value))
    assembly = Assembly()
    assembly.include(page)
    return assembly.finish(title=metadata.get("title", ""), metadata=metadata)


def _no_picture(_image: object) -> list[Any]:
    return []
