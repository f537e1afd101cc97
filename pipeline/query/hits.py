"""Chosen candidates become Hits, with their passages, scores and, if asked for, explanations.

In: groups of rows. Out: Hits in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.query.candidates import Candidate
from pipeline.query.options import SearchOptions
from pipeline.query.scope import Scope
from pipeline.query.selection import Group
from pipeline.types import Hit, Scores, Stage

HEADING_SEPARATOR = " > "


def hits_of(groups: Sequence[Group], scope: Scope, words: str, options: SearchOptions) -> list[Hit]:
    return [_hit(group, rank, scope, words, options) for rank, group in enumerate(groups, start=1)]


def _hit(group: Group, rank: int, scope: Scope, words: str, options: SearchOptions) -> Hit:
    candidate, passage = group.candidate, group.passage
    parts = sorted((passage, *group.joined), key=lambda part: part["start"])
    return Hit(
        rank=rank,
        score=candidate.score if candidate.rerank is None else candidate.rerank,
        path=passage["path"],
        start_line=parts[0]["start_line"],
        end_line=max(part["end_line"] for part in parts),
        page=parts[0]["page"],
        end_page=parts[-1].get("end_page"),
        start=parts[0]["start"],
        end=max(part["end"] for part in parts),
        heading=HEADING_SEPARATOR.join(passage["heading_path"]),
        text=_joined_text(parts),
        document_id=passage["document_id"],
        chunk_id=passage["chunk_id"],
        scores=Scores(dense=candidate.dense, lexical=candidate.lexical, rerank=candidate.rerank),
        collection=scope.collection(candidate.row).name,
        duplicates=tuple(f"{other['path']}:{other['start_line']}" for other in group.duplicates),
        explain=_stages(candidate, scope, words) if options.explain else None,
    )


def _joined_text(parts: Sequence[dict[str, Any]]) -> str:
    """The text of neighbouring passages, overlaps once; its length is that of their span in the document.

    What stood between them was white space: as many line ends as there are lines between, and spaces.
    """
    text, end, last = parts[0]["text"], parts[0]["end"], parts[0]["end_line"]
    for part in parts[1:]:
        if part["start"] < end:
            text += part["text"][end - part["start"] :]
        else:
            text += _white_space(part["start"] - end, part["start_line"] - last) + part["text"]
        end, last = max(end, part["end"]), max(last, part["end_line"])
    return text


def _white_space(length: int, lines: int) -> str:
    # Formats whose lines are not those of their text have paragraphs apart on one line, or none.
    breaks = length if lines <= 0 < length - 1 else max(0, min(lines, length))
    return "\n" * breaks + " " * (length - breaks)


def _stages(candidate: Candidate, scope: Scope, words: str) -> dict[str, Stage]:
    """By stage the rank and score of a candidate, and what they are made of."""
    stages: dict[str, Stage] = {}
    if candidate.dense is not None:
        detail = {} if candidate.deviations is None else {"deviations": candidate.deviations}
        stages["dense"] = Stage(rank=candidate.dense_rank, score=candidate.dense, detail=detail)
    if candidate.lexical is not None:
        stages["lexical"] = Stage(
            rank=candidate.lexical_rank,
            score=candidate.lexical,
            detail={"share": candidate.share or 0.0},
            terms={item.term: item.score for item in scope.lexical.explain(words, candidate.row)},
        )
    if candidate.fused is not None:
        made_of = {"own": candidate.own, "neighbours": candidate.neighbours}
        detail = {name: value for name, value in made_of.items() if value is not None}
        stages["fused"] = Stage(rank=candidate.fused_rank, score=candidate.fused, detail=detail)
    if candidate.plan_rank:
        first, *others = candidate.plan_ranks
        ranks = {"question": float(first), **{f"{number}": float(rank) for number, rank in enumerate(others, start=1)}}
        stages["plan"] = Stage(rank=candidate.plan_rank, score=candidate.score, detail=ranks)
    if candidate.rerank is not None:
        stages["rerank"] = Stage(rank=candidate.rerank_rank, score=candidate.rerank)
    return stages
