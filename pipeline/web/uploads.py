"""Files that are sent to be indexed: bytes come in, a file in the collection's own folder goes out.

Names are plain file names, so nothing is ever written elsewhere; a file is there whole or not at all.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import StorageUnwritable
from pipeline.store import Layout
from pipeline.web.failures import BadRequest, NotFound, TooLarge

FOLDER = "uploads"
NAME = r"^[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]*$"
"""No folders, no control characters, no hidden files."""

LONGEST_NAME = 200
"""Bytes; file systems take 255, and a name is longer while it is written."""


class Uploads:
    """The uploaded files of the collections below `home`.

    One has `most` bytes at the most, those of a collection `most_together`.
    """

    def __init__(self, home: Path, *, most: int, most_together: int) -> None:
        self._home = home
        self._most = most
        self._most_together = most_together

    def folder(self, collection: str) -> Path:
        return self._home / FOLDER / Layout.of(self._home, collection).name

    def files(self, collection: str) -> list[dict[str, Any]]:
        folder = self.folder(collection)
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [{"name": each.name, "bytes": each.stat().st_size} for each in found if not each.name.startswith(".")]

    def take(self, collection: str, name: str, pieces: Iterator[bytes]) -> dict[str, Any]:
        """Writes a file, over one of the same name. Raises BadRequest, TooLarge or StorageUnwritable."""
        if not re.search(NAME, name) or len(name.encode()) > LONGEST_NAME:
            raise BadRequest(f"{name!r} cannot be a file's name here", hint="send a plain name, without folders")
        folder = self.folder(collection)
        room = self._most_together - sum(each["bytes"] for each in self.files(collection) if each["name"] != name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=folder.parent)) / "file"
            try:
                size = self._write(temporary, pieces, room)
                temporary.replace(folder / name)
            finally:
                shutil.rmtree(temporary.parent)
        except OSError as error:
            raise StorageUnwritable(f"cannot keep {name}: {error.strerror}", hint="make room or permit it") from error
        return {"name": name, "bytes": size}

    def remove(self, collection: str, name: str) -> None:
        path = self.folder(collection) / name
        if not re.search(NAME, name) or not path.is_file():
            raise NotFound(f"there is no uploaded file {name!r}", hint="see the list of uploads")
        path.unlink()

    def _write(self, path: Path, pieces: Iterator[bytes], room: int) -> int:
        size = 0
        with path.open("wb") as file:
            for piece in pieces:
                size += len(piece)
                self._check(size, room)
                file.write(piece)
        return size

    def _check(self, size: int, room: int) -> None:
        if size > self._most:
            raise TooLarge(f"the file is larger than {self._most:,} bytes", hint="put it into a folder and index that")
        if size > room:
            raise TooLarge(
                f"the uploads of a collection are limited to {self._most_together:,} bytes together",
                hint="remove some, or put them into a folder and index that",
            )
