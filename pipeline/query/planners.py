"""Who makes plans: a chat model, or the rule that cuts compound questions.

In: the kind of plan, a chat model on a server. Out: a `Planner`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pipeline.errors import BadReply
from pipeline.query.plan import Plan, PlanKind, Planner
from pipeline.query.split import split_question

if TYPE_CHECKING:
    from pipeline.api import Client

CONTEXT = 4096
REPLY_TOKENS = 200
LONGEST_QUERY = 300
LONGEST_PASSAGE = 800
"""Characters; more than this is no query, or no passage of the usual size."""

MOST_QUERIES = 3
CLOSINGS = ("", "}", '"}', "]}", '"]}')
"""What may be missing at the end of a reply that was cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How a chat model is asked: what to do, and an example of it, which is a question and the reply's content."""

    task: str
    asked: str
    reply: Mapping[str, Any]


WAYS: Mapping[PlanKind, _Way] = {
    "decompose": _Way(
        task="Take the user's question apart into the questions that it is made of, each of which can be understood "
        "without the others. A question that asks for one thing stays as it is.",
        asked="How wide is the new bridge, and who pays for it?",
        reply={"queries": ["How wide is the new bridge?", "Who pays for the new bridge?"]},
    ),
    "multi-query": _Way(
        task="Write the user's question again in three ways, in other words that documents may use for the same thing. "
        "Keep its language, its names and its numbers.",
        asked="How do I get my money back for a cancelled trip?",
        reply={
            "queries": [
                "refund for a cancelled journey",
                "How is a trip that was called off reimbursed?",
                "cancellation terms and repayment of the fare",
            ]
        },
    ),
    "step-back": _Way(
        task="Write one more general question, whose answer is the background that is needed for the user's question.",
        asked="May the crew of the Marit unload after nine in the evening?",
        reply={"queries": ["What are the rules for unloading ships at night?"]},
    ),
    "hyde": _Way(
        task="Write a short passage, of two or three sentences, as it might stand in a document that answers the "
        "user's question. Names and numbers may be made up.",
        asked="How long may a visitor borrow a bicycle?",
        reply={
            "passage": "Bicycles are lent to visitors free of charge for up to four hours. Whoever needs one for "
            "longer asks at the desk for a day pass."
        },
    ),
}
QUERIES: Mapping[str, Any] = {
    "type": "object",
    "properties": {"queries": {"type": "array", "minItems": 1, "maxItems": MOST_QUERIES, "items": {"type": "string"}}},
    "required": ["queries"],
}
PASSAGE: Mapping[str, Any] = {
    "type": "object",
    "properties": {"passage": {"type": "string"}},
    "required": ["passage"],
}


def rule_planner(question: str) -> Plan:
    """Cuts a compound question; asks no model."""
    return Plan(kind="split", queries=split_question(question))


def chat_planner(client: Client, model: str, kind: PlanKind) -> Planner:
    """A chat model makes the plan. It raises ApiError, and BadReply for a reply that is no plan."""
    way = WAYS[kind]
    messages = [
        {"role": "system", "content": f"{way.task} Reply with JSON as in the example."},
        {"role": "user", "content": way.asked},
        {"role": "assistant", "content": json.dumps(way.reply)},
    ]

    def plan(question: str) -> Plan:
        reply = client.chat(
            model,
            [*messages, {"role": "user", "content": question}],
            format=dict(PASSAGE if kind == "hyde" else QUERIES),
            options={"num_ctx": CONTEXT, "num_predict": REPLY_TOKENS, "temperature": 0, "seed": 1},
            think=False,
        )
        return parsed_plan(reply.message.content, kind, question, model)

    return plan


def parsed_plan(content: str, kind: PlanKind, question: str, model: str) -> Plan:
    """The plan in a model's reply: what is long, says the question again or the example, or comes twice is left out.

    A reply that ran into its limit counts as far as it goes. Raises BadReply if there is nothing that can be read.
    """
    try:
        found = _closed(content)
        texts = [found["passage"]] if kind == "hyde" else list(found["queries"])
        texts = [" ".join(text.split()) for text in texts]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadReply(f"{model} wrote no plan: {content[:80]!r}", hint="plan with another model") from error
    if kind == "hyde":
        return Plan(kind=kind, passage=texts[0][:LONGEST_PASSAGE])
    queries = _fresh(texts, question, WAYS[kind].reply["queries"])
    # What is not compound stays whole: one part is the question again, in the model's words.
    return Plan(kind=kind, queries=() if kind == "decompose" and len(queries) < 2 else queries)


def _closed(content: str) -> dict[str, Any]:
    """A JSON object, which may break off within a text or after one. Raises ValueError."""
    for closing in CLOSINGS:
        try:
            return cast("dict[str, Any]", json.loads(content.rstrip(" ,\n") + closing))
        except ValueError:
            continue
    raise ValueError("no JSON object")


def _fresh(texts: Sequence[str], question: str, example: Sequence[str]) -> tuple[str, ...]:
    known = {_key(text) for text in (question, *example)}
    fresh: dict[str, str] = {}
    for text in texts:
        key = _key(text)
        if key and key not in known and len(text) <= LONGEST_QUERY:
            fresh.setdefault(key, text)
    return tuple(fresh.values())


def _key(text: str) -> str:
    return " ".join(text.casefold().strip(" .?!").split())
