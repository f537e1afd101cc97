"""Operations that answer: a question to a collection, a conversation with a chat model; whole, or as events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pipeline.answer import PROMPTS, USUAL_PASSAGES, choose_chat_model
from pipeline.answer.rewrite import Standalone, standalone_question
from pipeline.conversation import Conversation
from pipeline.server.exchange import Reply, json_reply
from pipeline.shapes import answer_json
from pipeline.types import Answer
from pipeline.web.events import Tell, event_reply, running
from pipeline.web.operation import EVENTS, JSON, Call, Operation
from pipeline.web.schema import array, boolean, integer, record, reference, string
from pipeline.web.searching import COLLECTION, PLAN, WHERE
from pipeline.web.service import Service
from pipeline.web.shown import MODE, SCHEMAS

QUESTION = string(minLength=1, maxLength=20_000)


def ask(service: Service, call: Call) -> Reply:
    if call["stream"]:
        return answer_events(service, call, lambda tell: _tell_answer(service, call, tell))
    with service.answering():
        return json_reply(_asked(service, call))


def _tell_answer(service: Service, call: Call, tell: Tell) -> None:
    tell("answer", _asked(service, call, tell))


def _asked(service: Service, call: Call, tell: Tell | None = None) -> dict[str, Any]:
    """The answer as JSON; `tell` gets what is searched for where that is not the question, and the answer's pieces."""
    started = time.perf_counter()
    question = call["question"]
    searched = [question]

    def rewritten(standalone: Standalone) -> None:
        searched[0] = standalone.question
        if tell is not None and standalone.rewritten:
            tell("standalone", {"question": standalone.question})

    answer = answered(
        service,
        call,
        call["collection"],
        question,
        history=[(turn["question"], turn["answer"]) for turn in call.get("history") or ()],
        on_standalone=rewritten,
        on_text=None if tell is None else lambda text: tell("piece", {"text": text}),
    )
    return answer_json(answer, round(time.perf_counter() - started, 3)) | {"standalone": searched[0]}


def answered(
    service: Service,
    call: Call,
    collection: str,
    question: str,
    *,
    history: Sequence[tuple[str, str]] = (),
    on_standalone: Callable[[Standalone], None] = lambda _: None,
    on_text: Callable[[str], None] | None = None,
) -> Answer:
    """The answer to a question that may point to the turns of `history`, questions with their answers, oldest first.

    The chat model stops where the client goes away.
    """
    with service.library.asking(collection, call.request.cancellation, call.get("chat_model")) as opened:
        standalone = Standalone(question=question, rewritten=False)
        if history:
            client = opened.connection.client
            model = choose_chat_model(client, opened.config.chat_model)
            standalone = standalone_question(client, model, question, history)
        on_standalone(standalone)
        answer = opened.ask(
            standalone.question,
            k=call.get("k") or USUAL_PASSAGES,
            mode=call.get("mode") or "hybrid",
            where=call.get("where") or None,
            plan=call.get("plan"),
            prompt=call.get("prompt"),
            judge=bool(call.get("judge")),
            think=bool(call.get("think")),
            on_text=on_text,
        )
    return replace(answer, question=question, notices=(*standalone.notices, *answer.notices))


def answer_events(service: Service, call: Call, work: Callable[[Tell], None], **more: Any) -> Reply:
    """What `work` tells, streamed; it counts as an answer that is being written until the stream ends."""
    cancellation = call.request.cancellation
    held = ExitStack()
    held.enter_context(service.answering())

    def finish() -> None:
        cancellation.set()
        held.close()

    return event_reply(running(work, cancellation), cancellation, finish=finish, **more)


def chat(service: Service, call: Call) -> Reply:
    cancellation = call.request.cancellation
    *before, last = call["messages"]

    def work(tell: Tell) -> None:
        with service.library.own_client(cancellation) as client:
            model = call.get("chat_model") or service.library.config.chat_model
            talk = Conversation(model=choose_chat_model(client, model), messages=before)
            for reply in talk.say(client, last["content"]):
                tell("piece", {"text": reply.message.content})
            tell("answer", {"model": talk.model, "answer": talk.messages[-1]["content"] if talk.messages else ""})

    return answer_events(service, call, work)


OPERATIONS = (
    Operation(
        method="POST",
        path="/api/collections/{collection}/ask",
        name="ask",
        summary="An answer with citations: whole, or as events: `standalone` where the question pointed back, then "
        "`piece`, `piece`, ... and at last `answer` or `error`.",
        tag="search",
        handler=ask,
        parameters=(COLLECTION,),
        body=record(
            {
                "question": QUESTION,
                "k": integer("Passages to answer from.", minimum=1, maximum=50, default=USUAL_PASSAGES),
                "mode": {**MODE, "default": "hybrid"},
                "where": WHERE,
                "plan": PLAN,
                "prompt": string("How the model is asked; see docs/answering.md.", enum=list(PROMPTS)),
                "chat_model": string(maxLength=300),
                "judge": boolean("Have the chat model judge each sentence of its answer too.", default=False),
                "think": boolean("Let a model that can reason do so first.", default=False),
                "history": array(
                    record({"question": QUESTION, "answer": string(maxLength=100_000)}),
                    "Earlier turns, oldest first; `question` as it stood alone.",
                    maxItems=100,
                ),
                "stream": boolean(default=False),
            },
            optional=("k", "mode", "where", "plan", "prompt", "chat_model", "judge", "think", "history", "stream"),
        ),
        replies={200: {JSON: reference("Answer"), EVENTS: string()}},
        errors=(404, 409, 502, 503),
    ),
    Operation(
        method="POST",
        path="/api/chat",
        name="chat",
        summary="The next message of a conversation with a chat model, without documents, as events.",
        tag="search",
        handler=chat,
        body=record(
            {
                "messages": array(SCHEMAS["Message"], "The last one is the user's.", minItems=1, maxItems=200),
                "chat_model": string(maxLength=300),
            },
            optional=("chat_model",),
        ),
        replies={200: {EVENTS: string()}},
        errors=(502, 503),
    ),
)
