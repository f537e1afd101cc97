"""Which template a model is asked by: the Go template that is stored with it, or the one in its file.

As the real server chooses, with one difference: the engine reads tool calls and thinking by the template in the file,
so where that one has them it is used.
"""

from __future__ import annotations

from pipeline.server.facts import THINKING, TOOLS, ModelFacts
from pipeline.server.templates import TemplateError, parse_template


def go_template(stored: str | None, facts: ModelFacts) -> str:
    """The stored Go template where that is the one to use; else empty: the engine has the file's own."""
    if not stored or facts.is_embedding:
        return ""
    if {TOOLS, THINKING} & set(facts.capabilities):
        return ""
    try:
        parse_template(stored)
    except TemplateError:
        # Without one in the file the error comes when the model is asked.
        return "" if facts.template else stored
    return stored
