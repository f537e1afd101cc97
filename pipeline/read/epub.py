"""EPUB books: the chapters in the order of the spine, each read as HTML. A chapter is no page: EPUB has none.

Pictures, style and the book's own table of contents are left out. Books under copy protection are told.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

from pipeline.read import html
from pipeline.read.assembly import Assembly
from pipeline.read.containers import local_name, member, open_zip, xml_member
from pipeline.read.decode import decode
from pipeline.read.formats import Parsed, Unreadable
from pipeline.read.metadata import standard

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
FONT_METHODS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def parse(content: bytes) -> Parsed:
    with open_zip(content, what="an EPUB book") as archive:
        _refuse_protected(archive)
        root_file = _root_file(archive)
        package = xml_member(archive, root_file)
        if package is None:
            raise Unreadable("is an EPUB book without contents", hint="see that it opens in a reader")
        metadata = standard(_properties(package))
        assembly = Assembly()
        broken = 0
        for name in _chapters(package, posixpath.dirname(root_file)):
            chapter = member(archive, name)
            if chapter is None:
                broken += 1
            else:
                assembly.include(html.parse(decode(chapter).text))
    if broken:
        assembly.notices.append(f"{broken} of its chapters cannot be read")
    return assembly.finish(title=metadata.get("title", ""), metadata=metadata)


def _refuse_protected(archive: zipfile.ZipFile) -> None:
    """Fonts may be scrambled; chapters that are cannot be read."""
    encryption = xml_member(archive, ENCRYPTION)
    for element in encryption.iter() if encryption is not None else ():
        if local_name(element) == "EncryptionMethod" and element.get("Algorithm") not in FONT_METHODS:
            raise Unreadable("is under copy protection (DRM)", hint="name it in .pipelineignore to leave it out")


def _root_file(archive: zipfile.ZipFile) -> str:
    container = xml_member(archive, CONTAINER)
    for element in container.iter() if container is not None else ():
        if local_name(element) == "rootfile" and (path := element.get("full-path")):
            return path
    raise Unreadable("is no EPUB book: it does not say where its contents are", hint="see that it opens in a reader")


def _properties(package: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """The Dublin Core of a book, and the date of its last change."""
    for element in package.iter():
        name = local_name(element)
        if name in ("title", "creator", "language", "publisher", "subject", "description", "date"):
            yield name, element.text or ""
        elif name == "meta" and element.get("property") == "dcterms:modified":
            yield "modified", element.text or ""


def _chapters(package: ElementTree.Element, folder: str) -> Iterator[str]:
    """The names of the pages, in reading order."""
    pages: dict[str, str] = {}
    for element in package.iter():
        is_page = local_name(element) == "item" and element.get("media-type") in PAGES
        if is_page and "nav" not in element.get("properties", "").split():
            path = unquote(element.get("href", "").partition("#")[0])
            pages[element.get("id", "")] = posixpath.normpath(posixpath.join(folder, path))
    for element in package.iter():
        if local_name(element) == "itemref" and (name := pages.get(element.get("idref", ""))):
            yield name
