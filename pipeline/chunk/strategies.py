"""Strategies by name: a function from a document and its budget to the spans that become chunks.

A strategy says where a document is cut, and nothing else. What it yields is checked, given its headings and made into
chunks by `pipeline.chunk.chunker`, so that the promises of a chunk hold for every strategy, one's own included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.chunk.budget import Budget
from pipeline.chunk.code import code_spans, require_grammars
from pipeline.chunk.cuts import ANYWHERE, SENTENCES, Breaks
from pipeline.chunk.spans import Outline, Span
from pipeline.chunk.structure import structure_spans
from pipeline.errors import UsageError
from pipeline.types import Document

Strategy = Callable[[Document, Budget], Iterator[Span]]

_STRATEGIES: dict[str, Strategy] = {}
_REQUIREMENTS: dict[str, Callable[[], None]] = {}


def register_strategy(name: str, strategy: Strategy, *, requires: Callable[[], None] | None = None) -> None:
    """Makes `strategy` known as `name`, in place of any other of that name.

    It is called with a document and its `Budget`, and yields spans in order that do not overlap and hold all text of
    the document's blocks but white space. A span that is beyond the budget is cut further. `requires` is called when
    the strategy is chosen, and raises what keeps it from running.
    """
    if not name.isidentifier():
        raise UsageError(f"{name!r} is no name for a chunker", hint="use letters, digits and underscores")
    _STRATEGIES[name] = strategy
    _REQUIREMENTS[name] = requires or _nothing


def strategy_names() -> list[str]:
    """The names of all strategies, in the order in which they were registered."""
    return list(_STRATEGIES)


def strategy_named(name: str) -> Strategy:
    """Raises UsageError for a name that is not registered."""
    if name not in _STRATEGIES:
        raise UsageError(f"there is no chunker {name!r}", hint=f"choose one of {', '.join(_STRATEGIES)}")
    return _STRATEGIES[name]


def require_strategy(name: str) -> str:
    """`name`, if there is such a strategy and it can run. Raises UsageError or MissingExtra."""
    strategy_named(name)
    _REQUIREMENTS[name]()
    return name


def is_built_in(name: str) -> bool:
    """Whether it is a strategy of this package, which every process has, and nobody has put another in its place."""
    return name in _BUILT_IN and _STRATEGIES[name] is _BUILT_IN[name]


def _nothing() -> None:
    pass


def _sentence_spans(document: Document, budget: Budget) -> Iterator[Span]:
    """As many sentences as fit, whatever the blocks."""
    return _running(document, budget, SENTENCES)


def _fixed_spans(document: Document, budget: Budget) -> Iterator[Span]:
    """As many tokens as fit, whatever the text."""
    return _running(document, budget, ANYWHERE)


def _running(document: Document, budget: Budget, breaks: Breaks) -> Iterator[Span]:
    """The text from the first block to the last, cut wherever a chunk is full."""
    if not document.blocks:
        return
    outline = Outline(document)
    start, end = document.blocks[0].start, document.blocks[-1].end
    for first, last in budget.parts(start, end, lambda offset: budget.room(outline.path_at(offset), offset), breaks):
        yield Span(first, last, outline.path_of(first, last))


register_strategy("structure", structure_spans)
register_strategy("sentences", _sentence_spans)
register_strategy("fixed", _fixed_spans)
register_strategy("code", code_spans, requires=require_grammars)
_BUILT_IN = dict(_STRATEGIES)
