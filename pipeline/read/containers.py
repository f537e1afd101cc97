"""Files that are zip archives inside: opened within limits, protected ones told, Office properties read.

In: a file's bytes. Out: its members, or an Unreadable that says why not.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

from pipeline.read.formats import Unreadable
from pipeline.read.metadata import standard

MAX_EXPANDED = 2**30
"""How many bytes the members may have together, by what the archive says of them; each is read to that size at most."""
MAX_MEMBERS = 50_000
MAX_MEMBER = 2**28
PROPERTIES = ("title", "author", "date", "modified", "language", "subject", "keywords", "description")
PROPERTY_MEMBERS = ("docProps/core.xml", "meta.xml")
"""Where Office files and OpenDocument files have their properties."""
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
PROTECTED = Unreadable("is protected by a password", hint="save a copy without one, and index that")


def open_zip(content: bytes, *, what: str) -> zipfile.ZipFile:
    """The archive, once what it expands to is known to be bounded. `what` names the file: "a Word document"."""
    if content.startswith(OLE_MAGIC):
        if ENCRYPTED_PACKAGE in content:
            raise PROTECTED
        raise Unreadable(f"is not {what} of the current format", hint="open it in an Office program, and save it anew")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        hint = "see that it opens in the program it was made with, or was copied whole"
        raise Unreadable(f"is not {what}, or broken: {error}", hint=hint) from error
    members = archive.infolist()
    expanded = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or expanded > MAX_EXPANDED:
        raise Unreadable(
            f"expands to {expanded // 2**20} MiB in {len(members)} files, more than is read",
            hint="name it in .pipelineignore to leave it out",
        )
    return archive


def member(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """The content of a member, or None if there is none, or none that can be read."""
    try:
        info = archive.getinfo(name)
        return archive.read(info) if info.file_size <= MAX_MEMBER else None
    except (KeyError, zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError):
        return None


def xml_member(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    """The root of a member that is XML, or None. Entities that expand without end are refused by expat itself."""
    content = member(archive, name)
    if content is None:
        return None
    try:
        return ElementTree.fromstring(content)  # noqa: S314 - expat limits what entities expand to
    except ElementTree.ParseError:
        return None


def local_name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def office_metadata(archive: zipfile.ZipFile) -> dict[str, str]:
    """Title, author, dates and so on of an Office document, by the keys of docs/formats.md."""
    found = standard(_properties(archive))
    return {key: value for key, value in found.items() if key in PROPERTIES}


def _properties(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    for source in PROPERTY_MEMBERS:
        root = xml_member(archive, source)
        for element in root.iter() if root is not None else ():
            name = local_name(element)
            yield ("keywords" if name == "category" else name), element.text or ""
