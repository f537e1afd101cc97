"""A conversation over a collection: follow-up questions are made to stand alone, searched for, answered with sources.

In: a collection, what the user asks. Out: a `Turn` for each question; a file from which it can be taken up again, which
is also a `Conversation`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pipeline.answer import USUAL_PASSAGES, answer_with_model, choose_chat_model
from pipeline.answer.citations import without_marks
from pipeline.answer.rewrite import Standalone, standalone_question
from pipeline.conversation import Conversation
from pipeline.errors import StreamInterrupted, UsageError
from pipeline.query import Mode, PlanKind, SearchOptions
from pipeline.query.where import parse_where
from pipeline.types import Answer, Citation, Hit, Scores, Sentence, Usage

if TYPE_CHECKING:
    from pipeline.collection import Collection

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question as it was asked, as it was searched for, and its answer. `stopped` says that the answer broke off."""

    question: str
    standalone: str
    answer: Answer
    stopped: bool = False


class Dialogue:
    """Asks one chat model about one collection, turn after turn.

    Args:
        model: the chat model; None takes the one that `ask` would.
        k, mode, where, plan: how passages are found, as in `Collection.search`; they can be changed between turns.
        file: where the conversation is kept after every turn, if anywhere.

    Raises CollectionNotFound, ModelNotFound or PullFailed at once, and UsageError for a model that cannot chat or a
    condition that cannot be read.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        model: str | None = None,
        k: int = USUAL_PASSAGES,
        mode: Mode = "hybrid",
        where: str | None = None,
        plan: PlanKind | None = None,
        file: Path | None = None,
    ) -> None:
        self.collection = collection
        collection.source()
        self._client = collection.connection.client
        self.k = k
        self.mode: Mode = mode
        self.where: str | None = None
        self.plan: PlanKind | None = plan
        self.file = file
        self.turns: list[Turn] = []
        self._failed: str | None = None
        self.model = ""
        self.use_model(choose_chat_model(self._client, model))
        self.use_where(where)

    def use_model(self, name: str) -> None:
        """Goes on with another chat model. Raises as the constructor; the model is then the one before."""
        show = self._client.show(name)
        if show.capabilities and "completion" not in show.capabilities:
            raise UsageError(f"model {name!r} cannot chat", hint="pipeline models list shows what each can do")
        self.model = name

    def use_where(self, expression: str | None) -> None:
        """Narrows the passages of further turns to documents that meet a condition; None takes that back."""
        if expression is not None:
            parse_where(expression)
        self.where = expression

    @property
    def last_question(self) -> str | None:
        """What was asked last, answered or not."""
        return self._failed or (self.turns[-1].question if self.turns else None)

    def ask(
        self,
        question: str,
        *,
        on_standalone: Callable[[Standalone], None] = lambda _: None,
        on_text: Callable[[str], None] | None = None,
    ) -> Turn:
        """The answer to `question`, which may point to earlier turns; then it is a turn itself.

        `on_standalone` gets what is searched for instead, before the answer; `on_text` each piece of the answer.

        Raises ApiError where the server fails. Then, as after Ctrl-C, what had been said stands as a turn that was
        stopped; where nothing had been said, the conversation is as it was. Both can be asked again.
        """
        return self._asked(question, self.turns, on_standalone, on_text)

    def ask_again(
        self,
        question: str | None = None,
        *,
        on_standalone: Callable[[Standalone], None] = lambda _: None,
        on_text: Callable[[str], None] | None = None,
    ) -> Turn:
        """As `ask`, with the last question or another in its place; the new turn takes the place of the old one.

        Raises UsageError if nothing was asked yet.
        """
        wanted = question or self.last_question
        if wanted is None or self.last_question is None:
            raise UsageError("nothing was asked yet", hint="ask something first")
        before = self.turns if self._failed is not None else self.turns[:-1]
        return self._asked(wanted, before, on_standalone, on_text)

    def forget(self) -> None:
        """Forgets all turns; settings stay."""
        self.turns = []
        self._failed = None

    def _asked(
        self,
        question: str,
        before: list[Turn],
        on_standalone: Callable[[Standalone], None],
        on_text: Callable[[str], None] | None,
    ) -> Turn:
        if not question.strip():
            raise UsageError("the question is empty", hint="ask something")
        history = [(turn.standalone, without_marks(turn.answer.text)) for turn in before]
        said: list[str] = []
        hits: list[Hit] = []
        standalone = Standalone(question=question, rewritten=False)

        def heard(piece: str) -> None:
            said.append(piece)
            if on_text is not None:
                on_text(piece)

        try:
            standalone = standalone_question(self._client, self.model, question, history)
            if standalone.rewritten:
                on_standalone(standalone)
            options = SearchOptions(k=self.k, mode=self.mode, where=self.where, plan=self.plan)
            planner = self.collection.planner(self.plan, model=self.model) if self.plan else None
            found = self.collection.find(standalone.question, options, planner=planner)
            hits = found.hits
            answer = answer_with_model(
                self._client,
                self.model,
                standalone.question,
                hits,
                on_text=heard,
                embedder=self.collection.embedder,
            )
        except BaseException as error:
            partial = "".join(said) or (error.partial if isinstance(error, StreamInterrupted) else "")
            self._failed = question
            if partial.strip():
                self._failed = None
                broken = self._broken_off(standalone.question, partial, hits)
                self.turns = [
                    *before,
                    Turn(question=question, standalone=standalone.question, answer=broken, stopped=True),
                ]
            raise
        notices = (*standalone.notices, *found.told, *answer.notices)
        turn = Turn(
            question=question,
            standalone=standalone.question,
            answer=replace(answer, notices=notices),
            stopped=answer.stopped == "interrupted",
        )
        self.turns = [*before, turn]
        self._failed = None
        return turn

    def _broken_off(self, question: str, text: str, hits: list[Hit]) -> Answer:
        """What had been said of an answer: its marks are not checked, so it cites nothing."""
        return Answer(
            question=question,
            text=text.strip(),
            answered=False,
            citations=(),
            hits=tuple(hits),
            model=self.model,
            usage=Usage(),
            notices=("the answer was broken off; its citations were not checked",),
        )

    def keep(self) -> None:
        """Writes the conversation to its file, if it has one, whole or not at all. Raises UsageError."""
        if self.file is not None:
            self.save(self.file)

    def save(self, path: Path) -> None:
        """Writes the conversation; further turns are kept there too. Raises UsageError if it cannot be written."""
        messages: list[dict[str, Any]] = []
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.answer.text})
        grounding = {
            "collection": self.collection.name,
            "k": self.k,
            "mode": self.mode,
            "where": self.where,
            "plan": self.plan,
            "turns": [asdict(turn) for turn in self.turns],
        }
        Conversation(model=self.model, messages=messages, grounding=grounding).save(path)
        self.file = path

    def take_up(self, conversation: Conversation) -> None:
        """Takes over the turns of a conversation that was kept, and its settings where it was one over a collection.

        One without a collection gives its questions and answers, without sources. The chat model stays.

        Raises UsageError for turns that cannot be read; the dialogue is then as it was.
        """
        grounding = conversation.grounding
        try:
            if grounding is None:
                self.turns = _plain_turns(conversation)
            else:
                turns = [_turn(record) for record in grounding["turns"]]
                options = SearchOptions(k=int(grounding["k"]), mode=grounding["mode"], plan=grounding.get("plan"))
                self.use_where(grounding["where"])
                self.turns, self.k, self.mode, self.plan = turns, options.k, options.mode, options.plan
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"the conversation's turns cannot be read: {error!r}", hint="load what /save wrote"
            ) from error
        self._failed = None


def _plain_turns(conversation: Conversation) -> list[Turn]:
    turns: list[Turn] = []
    question = ""
    for message in conversation.messages:
        text = str(message.get("content", ""))
        if message["role"] == "user":
            question = text
        elif message["role"] == "assistant" and question:
            answer = Answer(
                question=question,
                text=text,
                answered=True,
                citations=(),
                hits=(),
                model=conversation.model,
                usage=Usage(),
            )
            turns.append(Turn(question=question, standalone=question, answer=answer))
            question = ""
    return turns


def _turn(record: Mapping[str, Any]) -> Turn:
    answer = record["answer"]
    hits = tuple(
        _record(Hit, {**hit, "scores": _record(Scores, hit["scores"]), "duplicates": tuple(hit["duplicates"])})
        for hit in answer["hits"]
    )
    restored = {
        "citations": tuple(_record(Citation, citation) for citation in answer["citations"]),
        "hits": hits,
        "usage": _record(Usage, answer["usage"]),
        "notices": tuple(answer["notices"]),
        "sentences": tuple(
            _record(Sentence, {**sentence, "numbers": tuple(sentence["numbers"])})
            for sentence in answer.get("sentences", ())
        ),
    }
    known = ("question", "text", "answered", "model", "passages_read")
    newer = {name: answer[name] for name in ("draft", "thinking", "stopped", "value") if name in answer}
    return Turn(
        question=str(record["question"]),
        standalone=str(record["standalone"]),
        answer=_record(Answer, {**{name: answer[name] for name in known}, **newer, **restored}),
        stopped=bool(record["stopped"]),
    )


def _record(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A `kind` from its fields; a later release may have written others, which are left out."""
    names = {each.name for each in fields(cast("Any", kind))} - {"explain"}
    return kind(**{name: value for name, value in values.items() if name in names})
