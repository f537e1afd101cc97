"""E-mail, a message or a mailbox: who wrote what to whom and when, the text, and the attachments that can be read.

A message is a section. Its plain text is taken, or its HTML where there is none; lines are those of the file, of parts
in base64 the line at which they start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message

from pipeline.read import html
from pipeline.read import text as plain
from pipeline.read.assembly import Assembly
from pipeline.read.decode import decode
from pipeline.read.formats import Parsed, Unreadable
from pipeline.read.metadata import iso_date, one_line, standard
from pipeline.read.nested import NestedFiles

MESSAGE_START = b"From "
BLANK_LINE = (b"\n\n", b"\n\r\n")
QUOTED_FROM = re.compile(r"^>(>*From )", re.MULTILINE)
"""How a mailbox marks a line of text that would start a message."""
SHOWN = ("From", "To", "Cc", "Date")
ENCRYPTED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
FORWARDED = ("message/rfc822", "message/global")
MOST_PARTS = 10_000


def parse(content: bytes) -> Parsed:
    assembly = Assembly()
    files = NestedFiles(assembly, what="part")
    starts = list(_starts(content)) or [(0, 0)]
    ends = [start for start, _ in starts[1:]] + [len(content)]
    places = _Places(content)
    headers: dict[str, str] = {}
    for (_, start), end in zip(starts, ends, strict=True):
        message = message_from_bytes(content[start:end])
        if not message.keys() and len(starts) == 1:
            raise Unreadable("is no e-mail: it has no headers", hint="name it .txt to have it read as plain text")
        headers = _headers(message)
        try:
            _add_message(assembly, files, message, headers, places, start)
        except Unreadable:
            raise
        except Exception:  # one broken message must not keep a mailbox from being read
            if len(starts) == 1:
                raise
            files.skip("a broken message")
    files.report()
    if len(starts) > 1:
        return assembly.finish(metadata={"message_count": str(len(starts))})
    metadata = standard(
        [
            *((key.lower(), headers.get(key, "")) for key in (*SHOWN, "Subject")),
            ("author", headers.get("From", "")),
            ("language", headers.get("Content-Language", "")),
        ]
    )
    return assembly.finish(title=headers.get("Subject", ""), metadata=metadata)


def _starts(content: bytes) -> Iterator[tuple[int, int]]:
    """Where each message of a mailbox has its `From ` line, which follows a blank one, and where it starts itself."""
    at = 0 if content.startswith(MESSAGE_START) else _next_start(content, 0)
    while at >= 0:
        line_end = content.find(b"\n", at) + 1 or len(content)
        if at == 0 or content.endswith(BLANK_LINE, 0, at):
            yield at, line_end
        at = _next_start(content, line_end - 1)


def _next_start(content: bytes, at: int) -> int:
    found = content.find(b"\n" + MESSAGE_START, at)
    return found + 1 if found >= 0 else -1


def _headers(message: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in (*SHOWN, "Subject", "Content-Language"):
        if value := message.get(name):
            found[name] = one_line(_decoded(value))
    if date := found.get("Date"):
        found["Date"] = iso_date(date)
    return found


def _decoded(value: object) -> str:
    """A header with its encoded words read; as it stands where they are broken."""
    try:
        return str(make_header(decode_header(str(value))))
    except (MessageError, LookupError, ValueError):
        return str(value)


def _add_message(
    assembly: Assembly, files: NestedFiles, message: Message, headers: dict[str, str], places: _Places, start: int
) -> None:
    line = places.line_at(start)
    _add_head(assembly, headers, level=1, line=line)
    for part in _parts(message):
        inner = part.get_payload()
        if isinstance(inner, list) and part.get_content_type() in FORWARDED:
            forwarded = _headers(inner[0]) if isinstance(inner[0], Message) else {}
            _add_head(assembly, forwarded, level=2, line=places.line)
            continue
        name = _decoded(part.get_filename() or "")
        kind = part.get_content_type()
        raw = part.get_payload()
        place = places.find(raw) if isinstance(raw, str) else line
        body = part.get_payload(decode=True)
        if kind in ENCRYPTED:
            files.skip("encrypted")
        elif not isinstance(body, bytes) or not body.strip():
            continue
        elif not name and (kind == "text/plain" or part.get_content_maintype() == "multipart"):  # no part found in it
            assembly.include(
                plain.as_paragraphs(QUOTED_FROM.sub(r"\1", _text(part, body))), lines=_lines(part, str(raw), place)
            )
        elif not name and kind == "text/html":
            assembly.include(html.parse(_text(part, body)), level=1, lines=[place])
        elif name:
            files.add(name, body, level=2, line=place)
        elif part.get_content_maintype() != "text":
            files.skip(kind)


def _add_head(assembly: Assembly, headers: dict[str, str], *, level: int, line: int) -> None:
    assembly.heading(headers.get("Subject") or "(no subject)", level, line=line)
    assembly.add("\n".join(f"{name}: {headers[name]}" for name in SHOWN if name in headers), lines=[line])


def _parts(message: Message) -> Iterator[Message]:
    """The parts that hold content, in order; of alternatives the plain text, or else the last.

    A forwarded message comes before the parts that it has.
    """
    stack: list[Message] = [message]
    for _ in range(MOST_PARTS):
        if not stack:
            return
        part = stack.pop()
        inner = part.get_payload()
        if part.get_content_type() == "multipart/encrypted" or not isinstance(inner, list):
            yield part
            continue
        parts = [each for each in inner if isinstance(each, Message)]
        if part.get_content_type() == "multipart/alternative":
            texts = [
                each for each in parts if each.get_content_type() == "text/plain" and str(each.get_payload()).strip()
            ]
            parts = texts[:1] or parts[-1:]
        elif part.get_content_type() in FORWARDED and parts:
            yield part
        stack.extend(reversed(parts))


def _text(part: Message, body: bytes) -> str:
    """The text of a part by the encoding that it names, or by the one that it seems to be in."""
    charset = part.get_content_charset()
    if charset:
        try:
            return body.decode(charset)
        except (LookupError, UnicodeDecodeError):
            pass
    try:
        return decode(body).text
    except Unreadable:
        return body.decode("utf-8", "replace")


def _lines(part: Message, raw: str, first: int) -> list[int]:
    """The file's line of each line of a part, which starts at line `first`."""
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding == "base64":
        return [first]
    lines: list[int] = []
    continued = False
    for number, line in enumerate(raw.split("\n"), first):
        if not continued:
            lines.append(number)
        continued = encoding == "quoted-printable" and line.rstrip("\r").endswith("=")
    return lines


class _Places:
    """Lines of the file by offset, for offsets that ascend."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._line = 1

    @property
    def line(self) -> int:
        """The line of the last offset that was asked for."""
        return self._line

    def line_at(self, offset: int) -> int:
        if offset > self._at:
            self._line += self._content.count(b"\n", self._at, offset)
            self._at = offset
        return self._line

    def find(self, payload: str) -> int:
        """The line at which an encoded part starts; the last known where it is not found as it stands."""
        wanted = (
            payload.encode("ascii", "surrogateescape")
            if payload.isascii()
            else payload.encode("utf-8", "surrogateescape")
        )
        found = self._content.find(wanted, self._at) if wanted.strip() else -1
        return self._line if found < 0 else self.line_at(found)
