"""Files within files: attachments of a mail, members of an archive, each read by the reader of its own format.

In: names and contents. Out: their text in the document that holds them, a section each, and a notice for what is not
read. Containers within containers are named and not opened.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.errors import MissingExtra
from pipeline.read.assembly import Assembly
from pipeline.read.document import parse_text
from pipeline.read.formats import FORMATS, Parsed, Unreadable, bytes_reader_of, format_of, is_archive

NOT_OPENED = ("archive", "email")


class NestedFiles:
    """Adds files to an assembly, and counts those that it does not."""

    def __init__(self, assembly: Assembly, *, what: str) -> None:
        self._assembly = assembly
        self._what = what
        self._left_out: Counter[str] = Counter()

    def add(self, name: str, content: bytes, *, level: int, line: int | None = None) -> None:
        """Adds a file's text under its name as a heading of `level`."""
        try:
            parsed = parse_nested(name, content)
        except Unreadable as error:
            self._left_out[f"{PurePosixPath(name).name} {error.message}"] += 1
            return
        except MissingExtra as error:
            self._left_out[f"{error.message} ({error.hint})"] += 1
            return
        except Exception as error:  # noqa: BLE001 - one attachment must not keep the mail from being read
            self._left_out[f"{PurePosixPath(name).name} cannot be read: {type(error).__name__}"] += 1
            return
        if parsed is None:
            self._left_out[f"format {PurePosixPath(name).suffix or 'without a suffix'}"] += 1
            return
        self._assembly.heading(name, level, line=line)
        # Pages and lines of a file within do not count in the file that holds it.
        self._assembly.include(replace(parsed, pages=(), source_lines=()), level=level)

    def skip(self, reason: str) -> None:
        self._left_out[reason] += 1

    def report(self) -> None:
        """Leaves a notice of what was not read, if anything."""
        if count := self._left_out.total():
            reasons = ", ".join(
                reason if times == 1 else f"{reason} ({times} times)" for reason, times in self._left_out.most_common(5)
            )
            more = ", and more" if len(self._left_out) > 5 else ""
            self._assembly.notices.append(f"{count} {self._what}{'s' * (count > 1)} not read: {reasons}{more}")


def parse_nested(name: str, content: bytes) -> Parsed | None:
    """A file within a file, parsed by its name; None where no reader takes it. Raises as the readers do."""
    path = Path(name)
    kind = None if is_archive(path) else format_of(path)
    if kind is None or kind in NOT_OPENED:
        return None
    if len(content) > FORMATS[kind].max_bytes:
        raise Unreadable(f"is larger than {FORMATS[kind].max_bytes // 2**20} MiB")
    return bytes_reader_of(kind)(content) if FORMATS[kind].of_bytes else parse_text(kind, content)
