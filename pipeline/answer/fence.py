"""Retrieved text as data: marks around a passage that its text cannot close, and no control tokens in it. Pure.

In: a question, passages. Out: a key that none of them holds, and the passages as they stand in a prompt.
docs/answering.md says what that keeps out and what it does not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from pipeline.types import Passage

KEY_BYTES = 3
"""Six digits: short, as each passage carries the key twice, and enough, as it is known to stand in no passage."""

CONTROL = re.compile(
    r"<(?=[|｜]|/?(?:s|bos|eos|pad|unk|mask|think|tool_call|tool_response|tools|source)\b|/?(?:start|end)_of_\w+>"
    r"|unused\d|<?/?SYS>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT)\])",
    re.IGNORECASE,
)
"""Where a control token of a chat template may begin. Servers turn such text in a message into the token itself: it
would end the user's turn, or begin one of the system's."""


def key_for(question: str, passages: Sequence[Passage]) -> str:
    """A key for the marks: the same for the same request, known to no author of a passage, and in no passage.

    It depends on the question and on all passages together, so that whoever writes one document cannot foresee it.
    """
    texts = [question, *(passage.hit.heading for passage in passages), *(passage.hit.text for passage in passages)]
    salt = 0
    while True:
        hashed = hashlib.blake2b(b"", digest_size=KEY_BYTES, salt=salt.to_bytes(8, "big"))
        for text in texts:
            hashed.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
        key = hashed.hexdigest()
        if not any(key in text for text in texts):
            return key
        salt += 1


def fenced(passage: Passage, key: str) -> str:
    """A passage as it stands in the prompt."""
    heading = f" {defused(' '.join(passage.hit.heading.split()))}" if passage.hit.heading else ""
    return (
        f'<source number="{passage.number}" key="{key}">{heading}\n{defused(passage.hit.text)}\n</source key="{key}">'
    )


def defused(text: str) -> str:
    """`text` with a space inside whatever could be read as a control token, or as a mark of a source."""
    return CONTROL.sub(lambda match: f"{match[0]} ", text)
