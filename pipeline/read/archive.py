"""Archives that were named on purpose, zip and tar: a section for each member that can be read.

Members are never written to disk. Hidden ones are left out, archives within are named and not opened.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from pipeline.read.assembly import Assembly
from pipeline.read.containers import MAX_EXPANDED, MAX_MEMBERS, open_zip
from pipeline.read.formats import LARGE, Parsed, Unreadable
from pipeline.read.nested import NestedFiles

ENCRYPTED = 0x1


def parse(content: bytes) -> Parsed:
    assembly = Assembly()
    files = NestedFiles(assembly, what="file")
    members = _zipped(content, files) if zipfile.is_zipfile(io.BytesIO(content)) else _tarred(content, files)
    count = 0
    for name, inner in members:
        files.add(name, inner, level=1)
        count += 1
    files.report()
    return assembly.finish(metadata={"file_count": str(count)})


def _wanted(name: str, size: int, files: NestedFiles) -> bool:
    if any(part.startswith(".") for part in PurePosixPath(name).parts):
        files.skip("hidden")
    elif size > LARGE:
        files.skip(f"larger than {LARGE // 2**20} MiB")
    else:
        return True
    return False


def _zipped(content: bytes, files: NestedFiles) -> Iterator[tuple[str, bytes]]:
    with open_zip(content, what="a zip archive") as archive:
        for info in archive.infolist():
            if info.is_dir() or not _wanted(info.filename, info.file_size, files):
                continue
            if info.flag_bits & ENCRYPTED:
                files.skip("protected by a password")
                continue
            try:
                yield info.filename, archive.read(info)
            except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError):
                files.skip("broken")


def _tarred(content: bytes, files: NestedFiles) -> Iterator[tuple[str, bytes]]:
    expanded = count = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for info in archive:
                expanded, count = expanded + info.size, count + 1
                if expanded > MAX_EXPANDED or count > MAX_MEMBERS:
                    raise Unreadable(
                        f"expands to more than {MAX_EXPANDED // 2**20} MiB or {MAX_MEMBERS} files",
                        hint="unpack it, and index the folder",
                    )
                if info.isfile() and _wanted(info.name, info.size, files) and (file := archive.extractfile(info)):
                    yield info.name, file.read()
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise Unreadable(f"is no archive, or broken: {error}", hint="see that it can be unpacked") from error
