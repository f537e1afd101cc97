"""By which settings documents are cut; a collection's manifest records them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSettings:
    """`max_tokens` is the budget of the embedded text, `reserved_tokens` of which the model's prefix takes.

    `overlap_tokens` at most are repeated from the end of the chunk before. `by_format` names other strategies for the
    documents of some formats. `language` is that of documents that state none: a code,
    `auto` to tell it, or `none`. A collection records these fields; those that it lacks have the values given here.
    """

    strategy: str = "structure"
    max_tokens: int = 254
    reserved_tokens: int = 0
    overlap_tokens: int = 0
    by_format: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    language: str = "auto"

    def strategy_for(self, document_format: str) -> str:
        """The name of the strategy by which documents of a format are cut."""
        return self.by_format.get(document_format, self.strategy)
